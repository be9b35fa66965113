// The part of ClientSession that holds what the client sends against the limits.
#include "base/log.h"
#include "base/memory_use.h"
#include "base/tracing.h"
#include "broker/client_session.h"
#include "broker/message_limits.h"
#include "broker/reserved_topics.h"

#include <algorithm>

namespace iotcore::broker {
namespace {

// How long a publisher waits between two publishes while the memory is in use.
constexpr auto kMemoryPause = std::chrono::milliseconds(50);

}  // namespace

bool ClientSession::may_publish(const mqtt::PublishView& packet) {
  const BrokerOptions& options = worker_.options();
  if (!is_publish_topic(packet.topic, topic_limits(options)) || !client_may_publish(packet.topic)) {
    if (packet.topic.size() > options.topic_bytes_max) {
      worker_.limits().reached(Limit::kTopic);
    }
    publish_refused(packet, Errc::kTopicNameInvalid, "not a topic to publish to");
    return false;
  }
  if (const auto refusal = check_message(packet.payload, packet.properties, options)) {
    if (refusal->limit) {
      worker_.limits().reached(*refusal->limit);
    }
    if (refusal->code == Errc::kPacketTooLarge) {
      on_fault({refusal->code, refusal->why});
    } else {
      publish_refused(packet, refusal->code, refusal->why);
    }
    return false;
  }
  const std::uint64_t topic_hash = permissions_ == nullptr ? 0 : stable_hash(packet.topic);
  tracing::Scope span("authorize");
  if (!allows(Action::kPublish, packet.topic, topic_hash) ||
      (packet.retain && !allows(Action::kRetainPublish, packet.topic, topic_hash))) {
    if (span.is_on()) [[unlikely]] {
      span.set_error("not allowed to publish to this topic");
    }
    publish_refused(packet, Errc::kNotAuthorized, "not allowed to publish to this topic");
    return false;
  }
  return true;
}

bool ClientSession::within_rate(const mqtt::PublishView& packet) {
  const BrokerOptions& options = worker_.options();
  Duration wait = Duration::zero();
  if (MemoryUse::level() == MemoryUse::Level::kFull) [[unlikely]] {
    worker_.limits().reached(Limit::kMemory);
    wait = kMemoryPause;
  }
  if (options.publishes_per_s_max != 0) {
    RateLimit& rate = rare().publishes;
    if (options.over_rate == OverRate::kDrop) {
      if (!rate.try_take(worker_.now(), 1, options.publishes_per_s_max)) {
        worker_.limits().reached(Limit::kPublishRate);
        return false;
      }
    } else if (const Duration over = rate.take(worker_.now(), 1, options.publishes_per_s_max);
               over > Duration::zero()) {
      worker_.limits().reached(Limit::kPublishRate);
      wait = std::max(wait, over);
    }
  }
  if (options.publish_bytes_per_s_max != 0) {
    // AWS delays these, too.
    const Duration over = rare().publish_bytes.take(
        worker_.now(), packet.topic.size() + packet.payload.size(), options.publish_bytes_per_s_max
    );
    if (over > Duration::zero()) {
      worker_.limits().reached(Limit::kPublishByteRate);
      wait = std::max(wait, over);
    }
  }
  if (wait > Duration::zero()) {
    throttle(wait);
  }
  return true;
}

void ClientSession::throttle(Duration wait) {
  paused_ = true;
  throttled_ = true;
  link_.set_reading(false);
  worker_.timers().schedule(worker_.now() + wait, [&worker = worker_, handle = handle_] {
    if (ClientSession* session = worker.clients().find(handle); session != nullptr) {
      session->end_throttle();
    }
  });
}

void ClientSession::end_throttle() {
  throttled_ = false;
  const bool acks_wait =
      rare_ != nullptr && rare_->inbound_acks.size() >= worker_.options().receive_maximum;
  if (state_ == State::kConnected && paused_ && !acks_wait) {
    paused_ = false;
    link_.set_reading(true);
  }
}

}  // namespace iotcore::broker
