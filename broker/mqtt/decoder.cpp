#include "broker/mqtt/decoder.h"

#include "broker/mqtt/decoder_fields.h"

#include <array>

namespace iotcore::broker::mqtt {
namespace {

using fields::kTrailing;
using fields::kTruncated;
using fields::malformed;
using fields::protocol_error;
using fields::read_end;
using fields::read_packet_id;
using fields::read_properties;
using fields::read_text;

// What a type's flags must be and who may send it. PUBLISH checks its flags itself.
struct TypeRule {
  bool from_client;
  bool from_server;
  std::uint8_t flags;
};

constexpr std::array<TypeRule, 16> kTypeRules = {{
    {false, false, 0},  // 0 is reserved
    {true, false, 0},   // CONNECT
    {false, true, 0},   // CONNACK
    {true, true, 0},    // PUBLISH
    {true, true, 0},    // PUBACK
    {true, true, 0},    // PUBREC
    {true, true, 2},    // PUBREL
    {true, true, 0},    // PUBCOMP
    {true, false, 2},   // SUBSCRIBE
    {false, true, 0},   // SUBACK
    {true, false, 2},   // UNSUBSCRIBE
    {false, true, 0},   // UNSUBACK
    {true, false, 0},   // PINGREQ
    {false, true, 0},   // PINGRESP
    {true, true, 0},    // DISCONNECT
    {true, true, 0},    // AUTH
}};

Fault check_reason(Reason reason, const FrameView& frame, const DecodeContext& context) {
  return is_reason_allowed(reason, frame.type, context.sender)
             ? Fault{}
             : protocol_error("a reason code that this packet does not have (MQTT5 2.4)");
}

// An optional reason code and, after it, optional properties until the end of the packet (v5).
Fault read_reason_and_properties(
    ByteReader& reader,
    const FrameView& frame,
    const DecodeContext& context,
    Reason& reason,
    PropertiesView& properties
) {
  reason = Reason::kSuccess;
  properties.clear();
  if (reader.remaining() == 0) {
    return {};
  }
  reason = static_cast<Reason>(reader.u8());
  if (const Fault fault = check_reason(reason, frame, context)) {
    return fault;
  }
  if (reader.remaining() == 0) {
    return {};
  }
  const Fault fault = read_properties(reader, scope_of(frame.type), context, properties);
  return fault ? fault : read_end(reader);
}

// --- SUBSCRIBE, UNSUBSCRIBE ---

Fault check_subscription(std::uint8_t options, std::string_view filter, Version version) {
  const unsigned reserved = version == Version::kV5 ? 0xC0U : 0xFCU;
  if ((options & reserved) != 0) {
    return malformed("MQTT-3.8.3-5 (3.1.1: -3.8.3-4): reserved bits of the subscription options");
  }
  if ((options & 3U) == 3) {
    return version == Version::kV5 ? protocol_error("a subscription of QoS 3 (MQTT5 3.8.3.1)")
                                   : malformed("MQTT-3.8.3-4 (3.1.1): a subscription of QoS 3");
  }
  if ((options & 0x30U) == 0x30U) {
    return protocol_error("retain handling 3 (MQTT5 3.8.3.1)");
  }
  if ((options & 4U) != 0 && filter.starts_with("$share/")) {
    return protocol_error("MQTT-3.8.3-4: no local on a shared subscription");
  }
  return {};
}

template <typename Entry>
Fault read_entries(ByteReader& reader, const DecodeContext& context, EntriesView<Entry>& out) {
  const std::string_view encoded(reader.position(), reader.remaining());
  std::size_t count = 0;
  for (; reader.remaining() > 0; ++count) {
    std::string_view filter;
    if (const Fault fault = read_text(reader, filter)) {
      return fault;
    }
    if constexpr (std::is_same_v<Entry, SubscriptionView>) {
      const std::uint8_t options = reader.u8();
      if (!reader.ok()) {
        return malformed(kTruncated);
      }
      if (const Fault fault = check_subscription(options, filter, context.version)) {
        return fault;
      }
    }
  }
  out = EntriesView<Entry>(encoded, count);
  return count == 0 ? protocol_error("MQTT-3.8.3-2, -3.10.3-2: no topic filter in (UN)SUBSCRIBE")
                    : Fault{};
}

// Packet identifier and properties.
template <typename Packet>
Fault read_head(
    ByteReader& reader, const FrameView& frame, const DecodeContext& context, Packet& out
) {
  const Fault fault = read_packet_id(reader, out.packet_id);
  return fault ? fault : read_properties(reader, scope_of(frame.type), context, out.properties);
}

Fault check_reasons(
    std::string_view reasons, const FrameView& frame, const DecodeContext& context
) {
  for (const char byte : reasons) {
    const auto reason = static_cast<Reason>(static_cast<std::uint8_t>(byte));
    if (const Fault fault = check_reason(reason, frame, context)) {
      return fault;
    }
    // MQTT3 3.9.3 knows one error only.
    if (context.version != Version::kV5 && is_error(reason) &&
        reason != Reason::kUnspecifiedError) {
      return malformed("MQTT-3.9.3-2 (3.1.1): a SUBACK return code other than 0, 1, 2, 0x80");
    }
  }
  return reasons.empty() ? protocol_error("an acknowledgement of no topic filter") : Fault{};
}

}  // namespace

namespace detail {

Fault check_fixed_header(std::uint8_t first_byte, const DecodeContext& context) {
  const auto type = static_cast<PacketType>(first_byte >> 4U);
  const TypeRule& rule = kTypeRules[first_byte >> 4U];
  if (!rule.from_client && !rule.from_server) {
    return malformed("packet type 0 is reserved (MQTT5 2.1.2)");
  }
  if (context.version == Version::kNone && type != PacketType::kConnect &&
      context.sender == Sender::kClient) {
    return protocol_error("MQTT-3.1.0-1: the first packet is not CONNECT");
  }
  if (type == PacketType::kAuth && context.version != Version::kV5) {
    return malformed("packet type 15 is reserved in MQTT 3.1.1 (2.2.1)");
  }
  if (type != PacketType::kPublish && (first_byte & 0x0FU) != rule.flags) {
    return malformed("MQTT-2.1.3-1 (3.1.1: -2.2.2-2): wrong flags in the fixed header");
  }
  if (!(context.sender == Sender::kClient ? rule.from_client : rule.from_server)) {
    return protocol_error("a packet that this side never sends (MQTT5 2.1.2)");
  }
  return {};
}

// Lengths of three and four bytes, and ill-formed ones of any size.
FrameView next_long_frame(std::string_view bytes, const DecodeContext& context, FrameView frame) {
  std::size_t length = 0;
  for (std::size_t i = 1; i <= 4; ++i) {
    if (i == bytes.size()) {
      return frame;
    }
    const auto byte = static_cast<std::uint8_t>(bytes[i]);
    length |= static_cast<std::size_t>(byte & 0x7FU) << (7 * (i - 1));
    if (byte >= 0x80) {
      continue;
    }
    if (byte == 0 && i > 1) {
      break;
    }
    frame.size_bytes = 1 + i + length;
    if (frame.size_bytes > context.packet_bytes_max) {
      return fault_frame(
          frame, {Errc::kPacketTooLarge, "the packet is larger than the maximum packet size"}
      );
    }
    if (frame.size_bytes <= bytes.size()) {
      frame.state = FrameView::State::kReady;
      frame.body = bytes.substr(1 + i, length);
    }
    return frame;
  }
  return fault_frame(
      frame, malformed("MQTT-1.5.5-1: a remaining length of five bytes or with a needless one")
  );
}

Fault topic_fault(TopicScan scan) {
  return scan == TopicScan::kHasWildcard
             ? Fault{Errc::kTopicNameInvalid, "MQTT-3.3.2-2: the topic has a wildcard"}
             : malformed("MQTT-3.3.2-1: the topic is not UTF-8 or has U+0000");
}

Fault finish_publish_v5(std::string_view rest, const DecodeContext& context, PublishView& out) {
  ByteReader reader(rest);
  const Fault fault =
      decode_properties(reader, scope_of(PacketType::kPublish), context.sender, out.properties);
  if (fault) {
    return fault;
  }
  if (out.topic.empty() && !out.properties.has(Property::kTopicAlias)) {
    return protocol_error("the topic is empty and there is no topic alias (MQTT5 3.3.2.1)");
  }
  out.payload = reader.bytes(reader.remaining());
  return {};
}

}  // namespace detail

Fault decode_connack(const FrameView& frame, const DecodeContext& context, Connack& out) {
  ByteReader reader(frame.body);
  const std::uint8_t flags = reader.u8();
  const std::uint8_t code = reader.u8();
  if (!reader.ok()) {
    return malformed(kTruncated);
  }
  if ((flags & 0xFEU) != 0) {
    return malformed("MQTT-3.2.2-1: reserved CONNACK flags");
  }
  out.session_present = flags != 0;
  out.reason = static_cast<Reason>(code);
  if (context.version == Version::kV5) {
    if (const Fault fault = check_reason(out.reason, frame, context)) {
      return fault;
    }
  } else {
    const std::optional<Reason> reason = reason_of_v3_connack(code);
    if (!reason) {
      return malformed("a reserved CONNACK return code (3.1.1: 3.2.2.3)");
    }
    out.reason = *reason;
  }
  if (out.session_present && out.reason != Reason::kSuccess) {
    return protocol_error("MQTT-3.2.2-6: a refusal with session present");
  }
  const Fault fault = read_properties(reader, scope_of(frame.type), context, out.properties);
  return fault ? fault : read_end(reader);
}

Fault decode_ack(const FrameView& frame, const DecodeContext& context, Ack& out) {
  ByteReader reader(frame.body);
  out.type = frame.type;
  out.reason = Reason::kSuccess;
  out.properties.clear();
  if (const Fault fault = read_packet_id(reader, out.packet_id)) {
    return fault;
  }
  return context.version == Version::kV5
             ? read_reason_and_properties(reader, frame, context, out.reason, out.properties)
             : read_end(reader);
}

Fault decode_subscribe(const FrameView& frame, const DecodeContext& context, SubscribeView& out) {
  ByteReader reader(frame.body);
  const Fault fault = read_head(reader, frame, context, out);
  return fault ? fault : read_entries(reader, context, out.entries);
}

Fault decode_unsubscribe(
    const FrameView& frame, const DecodeContext& context, UnsubscribeView& out
) {
  ByteReader reader(frame.body);
  const Fault fault = read_head(reader, frame, context, out);
  return fault ? fault : read_entries(reader, context, out.filters);
}

Fault decode_suback(const FrameView& frame, const DecodeContext& context, SubackView& out) {
  ByteReader reader(frame.body);
  if (const Fault fault = read_head(reader, frame, context, out)) {
    return fault;
  }
  out.reasons = reader.bytes(reader.remaining());
  return check_reasons(out.reasons, frame, context);
}

Fault decode_unsuback(const FrameView& frame, const DecodeContext& context, UnsubackView& out) {
  ByteReader reader(frame.body);
  if (const Fault fault = read_head(reader, frame, context, out)) {
    return fault;
  }
  out.reasons = {};
  if (context.version != Version::kV5) {
    return read_end(reader);
  }
  out.reasons = reader.bytes(reader.remaining());
  return check_reasons(out.reasons, frame, context);
}

Fault decode_ping(const FrameView& frame) {
  return frame.body.empty() ? Fault{} : malformed(kTrailing);
}

Fault decode_disconnect(const FrameView& frame, const DecodeContext& context, Disconnect& out) {
  ByteReader reader(frame.body);
  if (context.version == Version::kV5) {
    return read_reason_and_properties(reader, frame, context, out.reason, out.properties);
  }
  out.reason = Reason::kSuccess;
  out.properties.clear();
  return context.sender == Sender::kServer
             ? protocol_error("MQTT 3.1.1 has no DISCONNECT of the server (3.14)")
             : read_end(reader);
}

Fault decode_auth(const FrameView& frame, const DecodeContext& context, Auth& out) {
  ByteReader reader(frame.body);
  if (const Fault fault =
          read_reason_and_properties(reader, frame, context, out.reason, out.properties)) {
    return fault;
  }
  if (frame.body.empty()) {
    return check_reason(out.reason, frame, context);
  }
  return out.properties.has(Property::kAuthenticationMethod)
             ? Fault{}
             : protocol_error("AUTH without an authentication method (MQTT5 3.15.2.2.2)");
}

namespace {

Fault decode_frame(const FrameView& frame, const DecodeContext& context, PacketView& out) {
  switch (frame.type) {
    case PacketType::kConnect:
      return decode_connect(frame, context, out.emplace<ConnectView>());
    case PacketType::kConnack:
      return decode_connack(frame, context, out.emplace<Connack>());
    case PacketType::kPublish:
      return decode_publish(frame, context, out.emplace<PublishView>());
    case PacketType::kPuback:
    case PacketType::kPubrec:
    case PacketType::kPubrel:
    case PacketType::kPubcomp:
      return decode_ack(frame, context, out.emplace<Ack>());
    case PacketType::kSubscribe:
      return decode_subscribe(frame, context, out.emplace<SubscribeView>());
    case PacketType::kSuback:
      return decode_suback(frame, context, out.emplace<SubackView>());
    case PacketType::kUnsubscribe:
      return decode_unsubscribe(frame, context, out.emplace<UnsubscribeView>());
    case PacketType::kUnsuback:
      return decode_unsuback(frame, context, out.emplace<UnsubackView>());
    case PacketType::kPingreq:
      out.emplace<Pingreq>();
      return decode_ping(frame);
    case PacketType::kPingresp:
      out.emplace<Pingresp>();
      return decode_ping(frame);
    case PacketType::kDisconnect:
      return decode_disconnect(frame, context, out.emplace<Disconnect>());
    case PacketType::kAuth:
      return decode_auth(frame, context, out.emplace<Auth>());
  }
  return malformed("packet type 0 is reserved (MQTT5 2.1.2)");
}

}  // namespace

Decoded decode(std::string_view bytes, const DecodeContext& context) {
  const FrameView frame = next_frame(bytes, context);
  Decoded decoded;
  decoded.state = frame.state;
  decoded.size_bytes = frame.size_bytes;
  decoded.fault = frame.fault;
  if (frame.state == FrameView::State::kReady) {
    decoded.fault = decode_frame(frame, context, decoded.packet);
    if (decoded.fault) {
      decoded.state = FrameView::State::kFault;
    }
  }
  return decoded;
}

}  // namespace iotcore::broker::mqtt
