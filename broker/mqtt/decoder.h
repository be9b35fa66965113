#pragma once

#include "broker/mqtt/packet.h"
#include "broker/mqtt/properties.h"
#include "broker/mqtt/reason.h"
#include "broker/mqtt/text.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

// MQTT 3.1.1 and 5 packets from bytes, both ways, without allocation or copy: every view points
// into the bytes given. Syntax only: what depends on the session (a second CONNECT, an alias nobody
// set, a limit) is the session's to refuse, and so is a filter's grammar (topic.h), which fails one
// entry of a SUBSCRIBE and not the packet.
namespace iotcore::broker::mqtt {

struct DecodeContext {
  Version version = Version::kNone;
  Sender sender = Sender::kClient;
  // The whole packet, fixed header included (MQTT5 3.1.2.11.4).
  std::size_t packet_bytes_max = 5 + std::size_t{kVariableByteIntegerMax};
};

// The first packet of some bytes, cut out but not yet read.
struct FrameView {
  enum class State : std::uint8_t { kNeedMore, kReady, kFault };

  State state = State::kNeedMore;
  PacketType type{};
  std::uint8_t flags = 0;      // low half of the first byte
  std::size_t size_bytes = 0;  // of the packet; 0 while its length is not known
  std::string_view body;       // what follows the fixed header; only when ready
  Fault fault;
};

namespace detail {

Fault check_fixed_header(std::uint8_t first_byte, const DecodeContext& context);
FrameView next_long_frame(std::string_view bytes, const DecodeContext& context, FrameView frame);
Fault finish_publish_v5(std::string_view rest, const DecodeContext& context, PublishView& out);
Fault topic_fault(TopicScan scan);

inline FrameView fault_frame(FrameView frame, Fault fault) {
  frame.state = FrameView::State::kFault;
  frame.fault = fault;
  return frame;
}

}  // namespace detail

// Cuts the first packet out. What is wrong is reported as soon as it is seen, not when the packet
// is whole: a wrong first byte at once, a length above the maximum (kPacketTooLarge) as soon as the
// length is there.
inline FrameView next_frame(std::string_view bytes, const DecodeContext& context) {
  FrameView frame;
  if (bytes.empty()) {
    return frame;
  }
  const auto first = static_cast<std::uint8_t>(bytes[0]);
  frame.type = static_cast<PacketType>(first >> 4U);
  frame.flags = first & 0x0FU;
  // A PUBLISH of a connection that is up, the rest by the table.
  if (frame.type != PacketType::kPublish || context.version == Version::kNone) {
    if (const Fault fault = detail::check_fixed_header(first, context)) {
      return detail::fault_frame(frame, fault);
    }
  }
  if (bytes.size() < 2) {
    return frame;
  }
  std::size_t header = 2;
  std::size_t length = static_cast<std::uint8_t>(bytes[1]);
  if (length >= 0x80) {
    if (bytes.size() < 3) {
      return frame;
    }
    const auto second = static_cast<std::uint8_t>(bytes[2]);
    if (second >= 0x80 || second == 0) {
      return detail::next_long_frame(bytes, context, frame);
    }
    length = (length & 0x7FU) | (static_cast<std::size_t>(second) << 7U);
    header = 3;
  }
  frame.size_bytes = header + length;
  if (frame.size_bytes > context.packet_bytes_max) [[unlikely]] {
    return detail::fault_frame(
        frame, {Errc::kPacketTooLarge, "the packet is larger than the maximum packet size"}
    );
  }
  if (frame.size_bytes <= bytes.size()) {
    frame.state = FrameView::State::kReady;
    frame.body = bytes.substr(header, length);
  }
  return frame;
}

// PUBLISH, the hot path: about the cost of looking at the topic. `out` may be reused for the next
// packet.
inline Fault decode_publish(
    const FrameView& frame, const DecodeContext& context, PublishView& out
) {
  const std::string_view body = frame.body;
  const unsigned qos = (frame.flags >> 1U) & 3U;
  const bool dup = (frame.flags & 8U) != 0;
  if (qos == 3 || (dup && qos == 0)) [[unlikely]] {
    return {
        Errc::kMalformedPacket,
        qos == 3 ? "MQTT-3.3.1-4: a PUBLISH with both QoS bits set"
                 : "MQTT-3.3.1-2: DUP is set in a PUBLISH of QoS 0"};
  }
  if (body.size() < 2) [[unlikely]] {
    return {Errc::kMalformedPacket, "PUBLISH ends before the topic"};
  }
  const auto* const data = reinterpret_cast<const unsigned char*>(body.data());
  const std::size_t topic_size = (static_cast<std::size_t>(data[0]) << 8U) | data[1];
  std::size_t at = 2 + topic_size;
  const std::size_t id_size = qos == 0 ? 0 : 2;
  if (body.size() - 2 < topic_size + id_size) [[unlikely]] {
    return {Errc::kMalformedPacket, "PUBLISH ends in the topic or packet identifier"};
  }
  out.topic = body.substr(2, topic_size);
  out.qos = static_cast<Qos>(qos);
  out.retain = (frame.flags & 1U) != 0;
  out.dup = dup;
  out.properties.clear();
  if (const TopicScan scan = scan_topic_name(out.topic); scan != TopicScan::kName) [[unlikely]] {
    return detail::topic_fault(scan);
  }
  std::uint16_t id = 0;
  if (qos != 0) {
    id = static_cast<std::uint16_t>((data[at] << 8U) | data[at + 1]);
    at += 2;
    if (id == 0) [[unlikely]] {
      return {Errc::kProtocolError, "MQTT-2.2.1-3: the packet identifier is 0"};
    }
  }
  out.packet_id = static_cast<PacketId>(id);
  if (context.version == Version::kV5) {
    if (topic_size != 0 && at < body.size() && body[at] == 0) {
      out.payload = body.substr(at + 1);
      return {};
    }
    return detail::finish_publish_v5(body.substr(at), context, out);
  }
  if (topic_size == 0) [[unlikely]] {
    return {Errc::kTopicNameInvalid, "MQTT-4.7.3-1: the topic is empty"};
  }
  out.payload = body.substr(at);
  return {};
}

// The others, each for a ready frame of its type. On a Fault what `out` holds is not meant to be
// used, except that decode_connect always leaves in out.version the version in which to answer.
Fault decode_connect(const FrameView& frame, const DecodeContext& context, ConnectView& out);
Fault decode_connack(const FrameView& frame, const DecodeContext& context, Connack& out);
Fault decode_ack(const FrameView& frame, const DecodeContext& context, Ack& out);
Fault decode_subscribe(const FrameView& frame, const DecodeContext& context, SubscribeView& out);
Fault decode_suback(const FrameView& frame, const DecodeContext& context, SubackView& out);
Fault decode_unsubscribe(
    const FrameView& frame, const DecodeContext& context, UnsubscribeView& out
);
Fault decode_unsuback(const FrameView& frame, const DecodeContext& context, UnsubackView& out);
// PINGREQ and PINGRESP.
Fault decode_ping(const FrameView& frame);
Fault decode_disconnect(const FrameView& frame, const DecodeContext& context, Disconnect& out);
Fault decode_auth(const FrameView& frame, const DecodeContext& context, Auth& out);

// Any packet, for where speed is not the point. size_bytes as in FrameView; consumed when ready.
struct Decoded {
  FrameView::State state = FrameView::State::kNeedMore;
  std::size_t size_bytes = 0;
  PacketView packet;
  Fault fault;
};

Decoded decode(std::string_view bytes, const DecodeContext& context);

}  // namespace iotcore::broker::mqtt
