#pragma once

#include "base/bytes.h"
#include "broker/mqtt/decoder.h"

#include <cstdint>
#include <string_view>

// Fields that several packets have, for the decoder's own files.
namespace iotcore::broker::mqtt::fields {

inline Fault malformed(const char* why) {
  return {Errc::kMalformedPacket, why};
}

inline Fault protocol_error(const char* why) {
  return {Errc::kProtocolError, why};
}

inline constexpr const char* kTruncated = "the packet ends before its last field";
inline constexpr const char* kTrailing = "the packet goes on after its last field";

// A two-byte length and a text.
inline Fault read_text(ByteReader& reader, std::string_view& out) {
  out = reader.bytes(reader.u16());
  if (!reader.ok()) {
    return malformed(kTruncated);
  }
  return is_mqtt_text(out) ? Fault{}
                           : malformed("MQTT-1.5.4-1, -2: a text is not UTF-8 or has U+0000");
}

inline Fault read_packet_id(ByteReader& reader, PacketId& out) {
  const std::uint16_t id = reader.u16();
  if (!reader.ok()) {
    return malformed(kTruncated);
  }
  out = static_cast<PacketId>(id);
  return id == 0 ? protocol_error("MQTT-2.2.1-3: the packet identifier is 0") : Fault{};
}

// The properties of a v5 packet; v3 has none.
inline Fault read_properties(
    ByteReader& reader, PropertyScope scope, const DecodeContext& context, PropertiesView& out
) {
  if (context.version == Version::kV5) {
    return decode_properties(reader, scope, context.sender, out);
  }
  out.clear();
  return {};
}

inline Fault read_end(const ByteReader& reader) {
  return reader.remaining() == 0 ? Fault{} : malformed(kTrailing);
}

}  // namespace iotcore::broker::mqtt::fields
