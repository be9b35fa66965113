#include "broker/packet_summary.h"

#include "broker/printable.h"

#include <fmt/format.h>

namespace iotcore::broker {
namespace {

// As much of a topic or filter as helps, as one word.
std::string shown(std::string_view text) {
  constexpr std::size_t kShownMax = 256;
  std::string out;
  for (const char c : printable(text, kShownMax)) {
    out.append(c == ' ' ? "\\x20" : std::string_view(&c, 1));
  }
  return out;
}

unsigned number(mqtt::Qos qos) {
  return static_cast<unsigned>(qos);
}

std::string reason_text(mqtt::Reason reason, const mqtt::PropertiesView& properties) {
  std::string out =
      fmt::format("reason=0x{:02x} ({})", static_cast<unsigned>(reason), mqtt::reason_name(reason));
  if (const auto why = properties.text(mqtt::Property::kReasonString)) {
    out += fmt::format(" why=\"{}\"", *why);
  }
  return out;
}

std::string_view name_of(mqtt::PacketType type) {
  switch (type) {
    case mqtt::PacketType::kPuback:
      return "PUBACK";
    case mqtt::PacketType::kPubrec:
      return "PUBREC";
    case mqtt::PacketType::kPubrel:
      return "PUBREL";
    default:
      return "PUBCOMP";
  }
}

struct Summarize {
  PacketSummary operator()(std::monostate /*none*/) const { return {}; }

  PacketSummary operator()(const mqtt::ConnectView& connect) const {
    std::string detail = fmt::format(
        "version={} clean={} keep_alive={}",
        connect.version == mqtt::Version::kV5 ? "5" : "3.1.1",
        connect.clean_start,
        connect.keep_alive_s
    );
    if (const auto expiry = connect.properties.number(mqtt::Property::kSessionExpiryInterval)) {
      detail += fmt::format(" session_expiry={}", *expiry);
    }
    if (connect.user_name) {
      detail += " user_name=given";
    }
    if (connect.password) {
      detail += " password=given";
    }
    if (connect.will) {
      detail += fmt::format(
          " will={} will_qos={} will_bytes={}",
          shown(connect.will->topic),
          number(connect.will->qos),
          connect.will->payload.size()
      );
    }
    return {"CONNECT", std::move(detail)};
  }

  PacketSummary operator()(const mqtt::Connack& connack) const {
    return {
        "CONNACK",
        fmt::format(
            "session_present={} {}",
            connack.session_present,
            reason_text(connack.reason, connack.properties)
        )};
  }

  PacketSummary operator()(const mqtt::PublishView& publish) const {
    std::string detail = fmt::format("topic={} qos={}", shown(publish.topic), number(publish.qos));
    if (publish.qos != mqtt::Qos::kAtMostOnce) {
      detail += fmt::format(" id={}", static_cast<unsigned>(publish.packet_id));
    }
    if (const auto alias = publish.properties.number(mqtt::Property::kTopicAlias)) {
      detail += fmt::format(" alias={}", *alias);
    }
    detail += publish.retain ? " retain" : "";
    detail += publish.dup ? " dup" : "";
    detail += fmt::format(" bytes={}", publish.payload.size());
    return {"PUBLISH", std::move(detail)};
  }

  PacketSummary operator()(const mqtt::Ack& ack) const {
    return {
        name_of(ack.type),
        fmt::format(
            "id={} {}",
            static_cast<unsigned>(ack.packet_id),
            reason_text(ack.reason, ack.properties)
        )};
  }

  PacketSummary operator()(const mqtt::SubscribeView& subscribe) const {
    std::string detail = fmt::format("id={}", static_cast<unsigned>(subscribe.packet_id));
    for (const mqtt::SubscriptionView& each : subscribe.entries) {
      detail += fmt::format(" filter={} qos={}", shown(each.filter), number(each.qos));
    }
    return {"SUBSCRIBE", std::move(detail)};
  }

  PacketSummary operator()(const mqtt::SubackView& suback) const {
    return {"SUBACK", codes_of(suback)};
  }

  PacketSummary operator()(const mqtt::UnsubscribeView& unsubscribe) const {
    std::string detail = fmt::format("id={}", static_cast<unsigned>(unsubscribe.packet_id));
    for (const std::string_view filter : unsubscribe.filters) {
      detail += " filter=" + shown(filter);
    }
    return {"UNSUBSCRIBE", std::move(detail)};
  }

  PacketSummary operator()(const mqtt::UnsubackView& unsuback) const {
    return {"UNSUBACK", codes_of(unsuback)};
  }

  PacketSummary operator()(const mqtt::Pingreq& /*ping*/) const { return {"PINGREQ", ""}; }

  PacketSummary operator()(const mqtt::Pingresp& /*ping*/) const { return {"PINGRESP", ""}; }

  PacketSummary operator()(const mqtt::Disconnect& disconnect) const {
    return {"DISCONNECT", reason_text(disconnect.reason, disconnect.properties)};
  }

  PacketSummary operator()(const mqtt::Auth& auth) const {
    return {"AUTH", reason_text(auth.reason, auth.properties)};
  }

  static std::string codes_of(const mqtt::SubackView& suback) {
    std::string detail = fmt::format("id={} reasons=", static_cast<unsigned>(suback.packet_id));
    for (std::size_t i = 0; i < suback.count(); ++i) {
      detail +=
          fmt::format("{}0x{:02x}", i == 0 ? "" : ",", static_cast<unsigned>(suback.reason(i)));
    }
    if (const auto why = suback.properties.text(mqtt::Property::kReasonString)) {
      detail += fmt::format(" why=\"{}\"", *why);
    }
    return detail;
  }
};

}  // namespace

PacketSummary summarize(const mqtt::PacketView& packet) {
  return std::visit(Summarize(), packet);
}

}  // namespace iotcore::broker
