#pragma once

#include "broker/mqtt/packet.h"
#include "tests/unit/broker/random.h"

#include <deque>
#include <string>
#include <string_view>

namespace iotcore::broker::mqtt {

// Valid packets of every kind with random content. Views point into the generator, which must
// outlive them.
class RandomPackets {
 public:
  explicit RandomPackets(unsigned seed) : random_(seed) {}

  Random& random() { return random_; }

  // One that `sender` may send in this version.
  PacketView packet(Version version, Sender sender) {
    for (;;) {
      switch (random_.below(12)) {
        case 0:
          if (sender == Sender::kClient) {
            return connect(version);
          }
          break;
        case 1:
          if (sender == Sender::kServer) {
            return connack(version);
          }
          break;
        case 2:
        case 3:
          return publish(version, sender);
        case 4:
        case 5:
          return ack(version, sender);
        case 6:
          return subscription_packet(version, sender);
        case 7:
          return unsubscription_packet(version, sender);
        case 8:
          return sender == Sender::kClient ? PacketView(Pingreq{}) : PacketView(Pingresp{});
        case 9:
          if (version == Version::kV5 || sender == Sender::kClient) {
            return disconnect(version, sender);
          }
          break;
        case 10:
          if (version == Version::kV5) {
            return auth(sender);
          }
          break;
        default:
          break;
      }
    }
  }

  std::string_view keep(std::string text) { return kept_.emplace_back(std::move(text)); }

  std::string_view text(unsigned length_below) {
    static constexpr std::string_view kPieces[] = {
        "a", "/", "xyz", "\xc3\xa9", "\xf0\x9f\x98\x80", " ", "$", "temperature"};
    std::string out;
    for (unsigned n = random_.below(length_below); n > 0; --n) {
      out += kPieces[random_.below(std::size(kPieces))];
    }
    return keep(std::move(out));
  }

  std::string_view data(unsigned length_below) {
    std::string out(random_.below(length_below), '\0');
    for (char& c : out) {
      c = static_cast<char>(random_.below(256));
    }
    return keep(std::move(out));
  }

 private:
  std::string_view topic() { return keep("t" + std::string(text(6))); }

  PacketId id() { return static_cast<PacketId>(1 + random_.below(65535)); }

  Qos qos() { return static_cast<Qos>(random_.below(3)); }

  PropertiesView properties(Version version, PropertyScope scope, Sender sender) {
    PropertiesView out;
    if (version != Version::kV5 || random_.one_in(3)) {
      return out;
    }
    std::string repeated;
    for (std::size_t number = 0; number < kPropertyIdEnd; ++number) {
      const auto property = static_cast<Property>(number);
      const PropertyInfo& info = property_info(property);
      if (((info.scopes >> static_cast<unsigned>(scope)) & 1U) == 0 || random_.one_in(2) ||
          !may_send(property, scope, sender)) {
        continue;
      }
      add(out, repeated, property, scope);
    }
    if (!repeated.empty()) {
      out.set_repeated(keep(std::move(repeated)));
    }
    return out;
  }

  static bool may_send(Property property, PropertyScope scope, Sender sender) {
    const bool client = sender == Sender::kClient;
    if (scope == scope_of(PacketType::kPublish)) {
      return !client || property != Property::kSubscriptionIdentifier;
    }
    if (scope == scope_of(PacketType::kDisconnect)) {
      return property != (client ? Property::kServerReference : Property::kSessionExpiryInterval);
    }
    return true;
  }

  void add(PropertiesView& out, std::string& repeated, Property property, PropertyScope scope) {
    const PropertyInfo& info = property_info(property);
    const bool in_publish = scope == scope_of(PacketType::kPublish);
    switch (info.type) {
      case PropertyType::kByte:
        out.set(property, random_.below(2));
        break;
      case PropertyType::kTwoByteInteger:
        out.set(property, 1 + random_.below(65535));
        break;
      case PropertyType::kFourByteInteger:
        out.set(property, 1 + random_.below(0xFFFFFFFE));
        break;
      case PropertyType::kVariableByteInteger:
        for (unsigned n = in_publish ? 1 + random_.below(3) : 1; n > 0; --n) {
          const std::uint32_t value =
              1 + random_.below(1U << (1 + random_.below(28))) % kVariableByteIntegerMax;
          if (in_publish) {
            append_subscription_id(repeated, value);
          } else {
            out.set(property, value);
          }
        }
        break;
      case PropertyType::kText:
        out.set(property, property == Property::kResponseTopic ? topic() : text(6));
        break;
      case PropertyType::kBinary:
        // Authentication data needs a method, which has the lower id.
        if (property != Property::kAuthenticationData || out.has(Property::kAuthenticationMethod)) {
          out.set(property, data(20));
        }
        break;
      default:
        for (unsigned n = 1 + random_.below(3); n > 0; --n) {
          append_user_property(repeated, text(4), text(4));
        }
    }
  }

  Reason reason(Version version, PacketType type, Sender sender) {
    if (version == Version::kV3 && type == PacketType::kConnack) {
      return *reason_of_v3_connack(static_cast<std::uint8_t>(random_.below(6)));
    }
    if (version == Version::kV3 && type == PacketType::kSuback) {
      const Reason reasons[] = {
          Reason::kSuccess, Reason::kGrantedQos1, Reason::kGrantedQos2, Reason::kUnspecifiedError};
      return reasons[random_.below(4)];
    }
    if (version == Version::kV3) {
      return Reason::kSuccess;
    }
    for (;;) {
      const auto reason = static_cast<Reason>(random_.below(256));
      if (is_reason_allowed(reason, type, sender)) {
        return reason;
      }
    }
  }

  ConnectView connect(Version version) {
    ConnectView out;
    out.version = version;
    out.clean_start = random_.one_in(2);
    out.keep_alive_s = static_cast<std::uint16_t>(random_.below(65536));
    out.client_id = text(8);
    out.properties = properties(version, scope_of(PacketType::kConnect), Sender::kClient);
    if (random_.one_in(2)) {
      out.will = WillView{
          topic(),
          data(300),
          qos(),
          random_.one_in(2),
          properties(version, PropertyScope::kWill, Sender::kClient)};
    }
    if (random_.one_in(2)) {
      out.user_name = text(5);
    }
    if (random_.one_in(2) && (out.user_name || version == Version::kV5)) {
      out.password = data(9);
    }
    return out;
  }

  Connack connack(Version version) {
    Connack out;
    out.reason = reason(version, PacketType::kConnack, Sender::kServer);
    out.session_present = out.reason == Reason::kSuccess && random_.one_in(2);
    out.properties = properties(version, scope_of(PacketType::kConnack), Sender::kServer);
    return out;
  }

  PublishView publish(Version version, Sender sender) {
    PublishView out;
    out.topic = topic();
    out.payload = data(random_.one_in(10) ? 20000 : 300);
    out.qos = qos();
    out.retain = random_.one_in(2);
    if (out.qos != Qos::kAtMostOnce) {
      out.packet_id = id();
      out.dup = random_.one_in(2);
    }
    out.properties = properties(version, scope_of(PacketType::kPublish), sender);
    if (out.properties.has(Property::kTopicAlias) && random_.one_in(2)) {
      out.topic = {};
    }
    return out;
  }

  Ack ack(Version version, Sender sender) {
    static constexpr PacketType kTypes[] = {
        PacketType::kPuback, PacketType::kPubrec, PacketType::kPubrel, PacketType::kPubcomp};
    Ack out;
    out.type = kTypes[random_.below(4)];
    out.packet_id = id();
    out.reason = reason(version, out.type, sender);
    out.properties = properties(version, scope_of(out.type), sender);
    return out;
  }

  PacketView subscription_packet(Version version, Sender sender) {
    if (sender == Sender::kServer) {
      SubackView out;
      out.packet_id = id();
      out.properties = properties(version, scope_of(PacketType::kSuback), sender);
      out.reasons = reasons(version, PacketType::kSuback, sender);
      return out;
    }
    SubscribeView out;
    out.packet_id = id();
    out.properties = properties(version, scope_of(PacketType::kSubscribe), sender);
    std::string entries;
    const unsigned count = 1 + random_.below(5);
    for (unsigned i = 0; i < count; ++i) {
      SubscriptionView entry{.filter = text(6), .qos = qos()};
      if (version == Version::kV5) {
        entry.no_local = random_.one_in(2);
        entry.retain_as_published = random_.one_in(2);
        entry.retain_handling = static_cast<RetainHandling>(random_.below(3));
      }
      append_entry(entries, entry);
    }
    out.entries = {keep(std::move(entries)), count};
    return out;
  }

  PacketView unsubscription_packet(Version version, Sender sender) {
    if (sender == Sender::kServer) {
      UnsubackView out;
      out.packet_id = id();
      out.properties = properties(version, scope_of(PacketType::kUnsuback), sender);
      if (version == Version::kV5) {
        out.reasons = reasons(version, PacketType::kUnsuback, sender);
      }
      return out;
    }
    UnsubscribeView out;
    out.packet_id = id();
    out.properties = properties(version, scope_of(PacketType::kUnsubscribe), sender);
    std::string filters;
    const unsigned count = 1 + random_.below(5);
    for (unsigned i = 0; i < count; ++i) {
      append_entry(filters, text(6));
    }
    out.filters = {keep(std::move(filters)), count};
    return out;
  }

  std::string_view reasons(Version version, PacketType type, Sender sender) {
    std::string out;
    for (unsigned n = 1 + random_.below(5); n > 0; --n) {
      out.push_back(static_cast<char>(reason(version, type, sender)));
    }
    return keep(std::move(out));
  }

  Disconnect disconnect(Version version, Sender sender) {
    return {
        reason(version, PacketType::kDisconnect, sender),
        properties(version, scope_of(PacketType::kDisconnect), sender)};
  }

  Auth auth(Sender sender) {
    Auth out{
        reason(Version::kV5, PacketType::kAuth, sender),
        properties(Version::kV5, scope_of(PacketType::kAuth), sender)};
    out.properties.set(Property::kAuthenticationMethod, text(4));
    return out;
  }

  Random random_;
  std::deque<std::string> kept_;
};

}  // namespace iotcore::broker::mqtt
