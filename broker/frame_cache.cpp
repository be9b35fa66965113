#include "broker/frame_cache.h"

#include "broker/mqtt/encoder.h"

#include <algorithm>
#include <cstring>

namespace iotcore::broker {
namespace {

mqtt::PublishCommon common_of(const PublishView& publish) {
  mqtt::PublishCommon common;
  common.topic = publish.topic;
  common.forwarded_properties = publish.properties;
  common.payload_bytes = publish.payload.size();
  return common;
}

mqtt::PublishDelivery delivery_of(
    const FrameCache::Receiver& receiver, const PublishView& publish, std::uint32_t expiry_s
) {
  mqtt::PublishDelivery delivery;
  delivery.qos = receiver.qos;
  delivery.retain = receiver.retain;
  delivery.dup = receiver.dup;
  delivery.packet_id = receiver.packet_id;
  delivery.subscription_ids = receiver.subscription_ids;
  delivery.topic_alias = receiver.topic_alias;
  delivery.topic_omitted = receiver.topic_known;
  if (publish.has_expiry) {
    delivery.expiry_s = expiry_s;
  }
  return delivery;
}

}  // namespace

FrameCache::FrameCache(const PublishView& publish, MonotonicTime now) : publish_(publish) {
  if (publish.has_expiry && publish.expires_at > now) {
    // Rounded up: what is left of a second is still a second (0 would mean that it is over). But `now` is when this worker's turn began, and the message
    // may have come to another worker since: not more than was given (MQTT-3.3.2-6).
    constexpr Duration kTurnMax = std::chrono::milliseconds(100);
    const auto left = publish.expires_at - now + std::chrono::seconds(1) - kTurnMax;
    expiry_s_ = static_cast<std::uint32_t>(
        std::max<std::int64_t>(std::chrono::duration_cast<std::chrono::seconds>(left).count(), 1)
    );
  }
}

std::size_t FrameCache::packet_bytes(const Receiver& receiver) const {
  return mqtt::publish_size(
      receiver.version, common_of(publish_), delivery_of(receiver, publish_, expiry_s_)
  );
}

void FrameCache::append(OutBuffer& out, const Receiver& receiver) {
  if (!receiver.subscription_ids.empty() || receiver.dup || receiver.topic_alias != 0) {
    encode(out, receiver, nullptr);
    return;
  }
  const std::size_t kind = (receiver.version == mqtt::Version::kV5 ? 8U : 0U) |
                           (static_cast<unsigned>(receiver.qos) << 1U) |
                           (receiver.retain ? 1U : 0U);
  if (arenas_ != nullptr) {
    append_shared(out, receiver, kind);
    return;
  }
  Encoded& encoded = encoded_[kind];
  if (!is_known(kind)) {
    known_kinds_ |= 1U << kind;
    encode(out, receiver, &encoded);
    return;
  }
  copy(out, encoded, receiver.packet_id);
}

void FrameCache::append_shared(OutBuffer& out, const Receiver& receiver, std::size_t kind) {
  FrameArena& arena = (*arenas_)[kind];
  Encoded& encoded = encoded_[kind];
  if (!is_known(kind)) {
    known_kinds_ |= 1U << kind;
    const std::size_t size = packet_bytes(receiver);
    const std::size_t at = arena.allocate(size);
    encode_at(arena.chunk().data() + at, size, receiver, &encoded);
  }
  // Clients that have had the same messages so far are at the same packet identifier, too.
  if (receiver.packet_id == encoded.packet_id) {
    const auto at = static_cast<std::size_t>(encoded.bytes - arena.chunk().data());
    out.append_shared(arena.chunk(), at, encoded.size);
    return;
  }
  copy(out, encoded, receiver.packet_id);
}

void FrameCache::copy(OutBuffer& out, const Encoded& encoded, PacketId packet_id) {
  char* at = out.extend(encoded.size);
  std::memcpy(at, encoded.bytes, encoded.size);
  if (encoded.packet_id_at != 0) {
    const auto id = static_cast<std::uint16_t>(packet_id);
    at[encoded.packet_id_at] = static_cast<char>(id >> 8U);
    at[encoded.packet_id_at + 1] = static_cast<char>(id);
  }
}

void FrameCache::encode(OutBuffer& out, const Receiver& receiver, Encoded* remember) {
  const std::size_t size = packet_bytes(receiver);
  encode_at(out.extend(size), size, receiver, remember);
}

void FrameCache::encode_at(
    char* start, std::size_t size, const Receiver& receiver, Encoded* remember
) {
  char* const payload = mqtt::write_publish_head(
      start, receiver.version, common_of(publish_), delivery_of(receiver, publish_, expiry_s_)
  );
  if (!publish_.payload.empty()) {
    std::memcpy(payload, publish_.payload.data(), publish_.payload.size());
  }
  if (remember == nullptr) {
    return;
  }
  remember->bytes = start;
  remember->size = size;
  remember->packet_id = receiver.packet_id;
  remember->packet_id_at = 0;
  if (receiver.qos != mqtt::Qos::kAtMostOnce) {
    const std::size_t body = size < 2 + 128         ? 2
                             : size < 3 + 16'384    ? 3
                             : size < 4 + 2'097'152 ? 4
                                                    : 5;
    remember->packet_id_at = body + 2 + publish_.topic.size();
  }
}

}  // namespace iotcore::broker
