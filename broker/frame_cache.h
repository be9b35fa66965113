#pragma once

#include "base/clock.h"
#include "broker/frame_chunk.h"
#include "broker/message.h"
#include "broker/mqtt/packet.h"
#include "broker/out_buffer.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace iotcore::broker {

// One publish on its way to many receivers of one worker, encoded once for each kind of receiver (version, packet id or
// none, retain flag). With few receivers the first one's own buffer holds the encoding that the next ones copy; with many, an arena does, and their
// buffers refer to it. It lives for one delivery: nothing may be written out or appended otherwise meanwhile.
class FrameCache {
 public:
  struct Receiver {
    mqtt::Version version = mqtt::Version::kV3;
    mqtt::Qos qos = mqtt::Qos::kAtMostOnce;
    bool retain = false;
    bool dup = false;
    PacketId packet_id{};
    std::span<const std::uint32_t> subscription_ids;  // v5
    std::uint16_t topic_alias = 0;                    // v5; 0: none
    bool topic_known = false;                         // the alias stands for the topic already
  };

  static constexpr std::size_t kKinds = 16;
  using Arenas = std::array<FrameArena, kKinds>;

  FrameCache(const PublishView& publish, MonotonicTime now);

  const PublishView& publish() const { return publish_; }

  // There are many receivers, whose buffers are to refer to frames in these.
  void share(Arenas& arenas) { arenas_ = &arenas; }

  // Size of the packet for a receiver like that.
  std::size_t packet_bytes(const Receiver& receiver) const;
  void append(OutBuffer& out, const Receiver& receiver);

 private:
  // No members that initialise themselves: there is an array of these for every message, and it mostly needs one.
  struct Encoded {
    const char* bytes;
    std::size_t size;
    std::size_t packet_id_at;
    PacketId packet_id;
  };

  bool is_known(std::size_t kind) const { return (known_kinds_ >> kind) % 2 != 0; }

  static void copy(OutBuffer& out, const Encoded& encoded, PacketId packet_id);
  void append_shared(OutBuffer& out, const Receiver& receiver, std::size_t kind);
  void encode_at(char* start, std::size_t size, const Receiver& receiver, Encoded* remember);
  void encode(OutBuffer& out, const Receiver& receiver, Encoded* remember);

  const PublishView& publish_;
  std::uint32_t expiry_s_ = 0;
  Arenas* arenas_ = nullptr;
  std::uint32_t known_kinds_ = 0;  // bit n: encoded_[n] is there
  std::array<Encoded, kKinds> encoded_;
};

}  // namespace iotcore::broker
