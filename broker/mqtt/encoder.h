#pragma once

#include "broker/mqtt/packet.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

// Packets to bytes. The caller's values are trusted to be ones that the decoder would accept; texts
// of more than 65535 bytes and packets of more than 268435455 end the process, so check limits
// first (encoded_size).
namespace iotcore::broker::mqtt {

// The whole packet, fixed header included: to be held against the receiver's Maximum Packet Size.
std::size_t encoded_size(Version version, const ConnectView& packet);
std::size_t encoded_size(Version version, const Connack& packet);
std::size_t encoded_size(Version version, const PublishView& packet);
std::size_t encoded_size(Version version, const Ack& packet);
std::size_t encoded_size(Version version, const SubscribeView& packet);
std::size_t encoded_size(Version version, const SubackView& packet);
std::size_t encoded_size(Version version, const UnsubscribeView& packet);
std::size_t encoded_size(Version version, const UnsubackView& packet);
std::size_t encoded_size(Version version, const Pingreq& packet);
std::size_t encoded_size(Version version, const Pingresp& packet);
std::size_t encoded_size(Version version, const Disconnect& packet);
std::size_t encoded_size(Version version, const Auth& packet);

// Writes exactly encoded_size bytes; returns their end. v3 leaves out what 3.1.1 does not have. (A
// v3 CONNACK whose reason has no 3.1.1 code must not be sent: see v3_connack_code; it is written as
// 0x03.)
char* write_packet(char* out, Version version, const ConnectView& packet);
char* write_packet(char* out, Version version, const Connack& packet);
char* write_packet(char* out, Version version, const PublishView& packet);
char* write_packet(char* out, Version version, const Ack& packet);
char* write_packet(char* out, Version version, const SubscribeView& packet);
char* write_packet(char* out, Version version, const SubackView& packet);
char* write_packet(char* out, Version version, const UnsubscribeView& packet);
char* write_packet(char* out, Version version, const UnsubackView& packet);
char* write_packet(char* out, Version version, const Pingreq& packet);
char* write_packet(char* out, Version version, const Pingresp& packet);
char* write_packet(char* out, Version version, const Disconnect& packet);
char* write_packet(char* out, Version version, const Auth& packet);

// Appends to a std::string-like buffer: size(), resize(), data().
template <typename Buffer, typename Packet>
void encode(Buffer& out, Version version, const Packet& packet) {
  const std::size_t at = out.size();
  out.resize(at + encoded_size(version, packet));
  write_packet(out.data() + at, version, packet);
}

// The commonest answer: PUBACK, PUBREC, PUBREL or PUBCOMP with reason 0 and no properties is the
// same four bytes in v3 and v5.
inline std::array<char, 4> short_ack(PacketType type, PacketId id) {
  const auto number = static_cast<std::uint16_t>(id);
  return {
      static_cast<char>(
          (static_cast<unsigned>(type) << 4U) | (type == PacketType::kPubrel ? 2U : 0U)
      ),
      2,
      static_cast<char>(number >> 8U),
      static_cast<char>(number)};
}

// --- Fan-out: everything of a PUBLISH but its payload, encoded once per kind of receiver ---

// What all receivers of a message have in common.
struct PublishCommon {
  std::string_view topic = {};
  std::string_view
      forwarded_properties;  // append_forwarded_properties of the message, without length; v5 only
  std::size_t payload_bytes = 0;
};

// What differs. The defaults cost nothing.
struct PublishDelivery {
  Qos qos = Qos::kAtMostOnce;
  bool retain = false;
  bool dup = false;
  PacketId packet_id{};                                  // QoS > 0
  std::uint16_t topic_alias = 0;                         // v5; 0: none
  bool topic_omitted = false;                            // v5: the receiver knows the alias already
  std::optional<std::uint32_t> expiry_s = {};            // v5: what is left of it
  std::span<const std::uint32_t> subscription_ids = {};  // v5
};

// The size of the packet, payload included.
std::size_t publish_size(
    Version version, const PublishCommon& common, const PublishDelivery& delivery
);

// Fixed header, topic, packet id, properties: everything before the payload. Returns the end.
char* write_publish_head(
    char* out, Version version, const PublishCommon& common, const PublishDelivery& delivery
);

}  // namespace iotcore::broker::mqtt
