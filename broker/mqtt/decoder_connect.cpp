#include "broker/mqtt/decoder.h"
#include "broker/mqtt/decoder_fields.h"

namespace iotcore::broker::mqtt {
namespace {

using fields::kTruncated;
using fields::malformed;
using fields::protocol_error;
using fields::read_end;
using fields::read_properties;
using fields::read_text;

struct ConnectFlags {
  explicit ConnectFlags(std::uint8_t flags) : bits(flags) {}

  bool reserved() const { return (bits & 1U) != 0; }

  bool clean_start() const { return (bits & 2U) != 0; }

  bool will() const { return (bits & 4U) != 0; }

  unsigned will_qos() const { return (bits >> 3U) & 3U; }

  bool will_retain() const { return (bits & 0x20U) != 0; }

  bool password() const { return (bits & 0x40U) != 0; }

  bool user_name() const { return (bits & 0x80U) != 0; }

  unsigned bits;
};

Fault check_connect_flags(ConnectFlags flags, Version version) {
  if (flags.reserved()) {
    return malformed("MQTT-3.1.2-3: the reserved CONNECT flag is 1");
  }
  if (flags.will_qos() == 3) {
    return malformed("MQTT-3.1.2-12: the will's QoS is 3");
  }
  if (!flags.will() && (flags.will_qos() != 0 || flags.will_retain())) {
    return malformed("MQTT-3.1.2-11, -13: will QoS or retain without a will");
  }
  if (version == Version::kV3 && flags.password() && !flags.user_name()) {
    return malformed("MQTT-3.1.2-22: a password without a user name");
  }
  return {};
}

// Protocol name and level; leaves in `version` what to answer in, known or not.
Fault read_protocol(ByteReader& reader, Version& version) {
  version = Version::kV3;
  const std::string_view name = reader.bytes(reader.u16());
  const std::uint8_t level = reader.u8();
  if (!reader.ok()) {
    return malformed(kTruncated);
  }
  if (name != "MQTT") {
    return {Errc::kUnsupportedProtocolVersion, "MQTT-3.1.2-1: the protocol name is not MQTT"};
  }
  if (level >= static_cast<std::uint8_t>(Version::kV5)) {
    version = Version::kV5;
  }
  return level == static_cast<std::uint8_t>(version)
             ? Fault{}
             : Fault{
                   Errc::kUnsupportedProtocolVersion,
                   "MQTT-3.1.2-2: a protocol level other than 4 and 5"};
}

Fault read_will(
    ByteReader& reader, ConnectFlags flags, const DecodeContext& context, WillView& will
) {
  will.qos = static_cast<Qos>(flags.will_qos());
  will.retain = flags.will_retain();
  if (const Fault fault = read_properties(reader, PropertyScope::kWill, context, will.properties)) {
    return fault;
  }
  if (const Fault fault = read_text(reader, will.topic)) {
    return fault;
  }
  if (will.topic.empty() || scan_topic_name(will.topic) == TopicScan::kHasWildcard) {
    return {
        Errc::kTopicNameInvalid,
        "MQTT-4.7.3-1, -4.7.1-1: the will's topic is empty or has a wildcard"};
  }
  will.payload = reader.bytes(reader.u16());
  return reader.ok() ? Fault{} : malformed(kTruncated);
}

Fault read_connect_payload(
    ByteReader& reader, ConnectFlags flags, const DecodeContext& context, ConnectView& out
) {
  if (const Fault fault = read_text(reader, out.client_id)) {
    return fault;
  }
  out.will.reset();
  out.user_name.reset();
  out.password.reset();
  if (flags.will()) {
    if (const Fault fault = read_will(reader, flags, context, out.will.emplace())) {
      return fault;
    }
  }
  if (flags.user_name()) {
    if (const Fault fault = read_text(reader, out.user_name.emplace())) {
      return fault;
    }
  }
  if (flags.password()) {
    out.password = reader.bytes(reader.u16());
    if (!reader.ok()) {
      return malformed(kTruncated);
    }
  }
  return read_end(reader);
}

Fault check_authentication(const PropertiesView& properties) {
  return properties.has(Property::kAuthenticationData) &&
                 !properties.has(Property::kAuthenticationMethod)
             ? protocol_error("authentication data without a method (MQTT5 3.1.2.11.10)")
             : Fault{};
}

}  // namespace

Fault decode_connect(const FrameView& frame, const DecodeContext& context, ConnectView& out) {
  ByteReader reader(frame.body);
  if (const Fault fault = read_protocol(reader, out.version)) {
    return fault;
  }
  DecodeContext connect_context = context;
  connect_context.version = out.version;
  const ConnectFlags flags(reader.u8());
  out.keep_alive_s = reader.u16();
  if (!reader.ok()) {
    return malformed(kTruncated);
  }
  if (const Fault fault = check_connect_flags(flags, out.version)) {
    return fault;
  }
  out.clean_start = flags.clean_start();
  if (const Fault fault =
          read_properties(reader, scope_of(frame.type), connect_context, out.properties)) {
    return fault;
  }
  if (const Fault fault = check_authentication(out.properties)) {
    return fault;
  }
  return read_connect_payload(reader, flags, connect_context, out);
}

}  // namespace iotcore::broker::mqtt
