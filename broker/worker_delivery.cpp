// The part of WorkerBroker that delivers on its own worker.
#include "broker/client_session.h"
#include "broker/session.h"
#include "broker/stored_sessions.h"
#include "broker/worker_broker.h"
#include "broker/worker_context.h"
#include "broker/worker_sessions.h"

#include <algorithm>

namespace iotcore::broker {
namespace {

// From so many receivers on it pays to encode apart from their buffers, and to have them all send the same bytes.
constexpr std::size_t kShareFramesFrom = 2;

}  // namespace

// True if a client has got it; what goes to a queue counts later.
bool WorkerBroker::deliver_or_collect(
    Session& session,
    const PublishView& publish,
    std::uint64_t topic_hash,
    Message::Ref& message,
    FrameCache& frames,
    const DeliveryOptions& options
) {
  if (options.qos != mqtt::Qos::kAtMostOnce && session.is_persistent()) {
    queue_targets_.push_back(
        {&session,
         options.qos,
         options.retain,
         static_cast<std::uint32_t>(queue_ids_.size()),
         static_cast<std::uint32_t>(options.subscription_ids.size()),
         options.share_slot}
    );
    queue_ids_.insert(
        queue_ids_.end(), options.subscription_ids.begin(), options.subscription_ids.end()
    );
    return false;
  }
  ClientSession* client = session.client();
  return client != nullptr && client->deliver(publish, topic_hash, message, frames, options);
}

std::uint32_t WorkerBroker::deliver_local(
    const PublishView& publish,
    std::uint64_t topic_hash,
    Message::Ref& message,
    std::span<const SlotTarget> slots,
    const void* from_session,
    Keeper& keeper
) {
  FrameCache frames(publish, now());
  if (slots.size() != 1 || slots[0].one_member) {
    return deliver_merged(publish, topic_hash, message, slots, from_session, frames, keeper);
  }
  std::uint32_t delivered = 0;
  const auto& subscribers = subscribers_.slot(slots[0].slot).subscribers;
  if (subscribers.size() >= kShareFramesFrom) {
    frames.share(frame_arenas_);
  }
  for (const Subscriber& subscriber : subscribers) {
    if (subscriber.no_local && subscriber.session == from_session) {
      continue;
    }
    DeliveryOptions options;
    options.qos = std::min(subscriber.qos, publish.qos);
    options.retain = subscriber.retain_as_published && publish.retain;
    if (subscriber.subscription_id != 0) {
      options.subscription_ids = {&subscriber.subscription_id, 1};
    }
    delivered +=
        deliver_or_collect(*subscriber.session, publish, topic_hash, message, frames, options) ? 1
                                                                                               : 0;
  }
  if (!queue_targets_.empty()) [[unlikely]] {
    delivered += deliver_to_queues(publish, topic_hash, message, frames, keeper);
  }
  return delivered;
}

std::uint32_t WorkerBroker::deliver_to_queues(
    const PublishView& publish,
    std::uint64_t topic_hash,
    Message::Ref& message,
    FrameCache& frames,
    Keeper& keeper
) {
  QueuedDelivery delivery{publish, topic_hash, message, frames};
  // Of QoS 2 first, if their rows go another way.
  const auto others =
      keeper.exactly_once == nullptr
          ? queue_targets_.begin()
          : std::stable_partition(
                queue_targets_.begin(),
                queue_targets_.end(),
                [](const QueueTarget& target) { return target.qos == mqtt::Qos::kExactlyOnce; }
            );
  const auto apart = static_cast<std::size_t>(others - queue_targets_.begin());
  const std::span targets(queue_targets_);
  std::uint32_t taken = 0;
  if (apart != 0) {
    taken += queue_group(
        targets.first(apart), delivery, {keeper.exactly_once->rows, keeper.exactly_once->marks}
    );
  }
  if (apart != targets.size()) {
    const std::uint32_t here =
        queue_group(targets.subspan(apart), delivery, {turn_.rows(), turn_.marks()});
    if (here != 0) {
      turn_.durable_rows(
          keeper.context != nullptr ? keeper.context->hold()
          : keeper.hold != nullptr  ? std::move(*keeper.hold)
                                    : PendingAck::Hold()
      );
    }
    taken += here;
  }
  queue_targets_.clear();
  queue_ids_.clear();
  return taken;
}

std::uint32_t WorkerBroker::queue_group(
    std::span<const QueueTarget> targets, QueuedDelivery& delivery, const QueueRows& rows
) {
  // Below that size a reference saves nothing.
  constexpr std::size_t kBodyMin = 64;
  const bool shared = targets.size() > 1 && bytes_of(delivery.publish) > kBodyMin;
  delivery.body = shared ? broker_.sessions().next_body() : 0;
  std::uint32_t taken = 0;
  for (const QueueTarget& target : targets) {
    const DeliveryOptions options{
        target.qos,
        target.retain,
        std::span(queue_ids_).subspan(target.first_id, target.id_count),
        target.share_slot};
    taken += target.session->queue().add(delivery, options, rows) ? 1 : 0;
  }
  if (delivery.body != 0 && taken != 0) {
    sessions_->keep_body(delivery.body, delivery.publish, taken, rows.batch);
  }
  return taken;
}

bool WorkerBroker::deliver_to(
    Session& session,
    const PublishView& publish,
    Message::Ref& message,
    const DeliveryOptions& options
) {
  FrameCache frames(publish, now());
  const std::uint64_t hash = stable_hash(publish.topic);
  if (deliver_or_collect(session, publish, hash, message, frames, options)) {
    return true;
  }
  Keeper keeper;
  return !queue_targets_.empty() && deliver_to_queues(publish, hash, message, frames, keeper) != 0;
}

void WorkerBroker::merge(const Subscriber& subscriber, const PublishView& publish) {
  Session& session = *subscriber.session;
  const mqtt::Qos qos = std::min(subscriber.qos, publish.qos);
  const bool retain = subscriber.retain_as_published && publish.retain;
  if (session.delivery_stamp != delivery_stamp_) {
    session.delivery_stamp = delivery_stamp_;
    session.delivery_entry = static_cast<std::uint32_t>(merged_.size());
    merged_.push_back({&session, qos, retain});
  } else {
    Merged& entry = merged_[session.delivery_entry];
    entry.qos = std::max(entry.qos, qos);
    entry.retain = entry.retain || retain;
  }
  if (subscriber.subscription_id != 0) {
    merged_ids_.emplace_back(session.delivery_entry, subscriber.subscription_id);
  }
}

std::uint32_t WorkerBroker::deliver_merged(
    const PublishView& publish,
    std::uint64_t topic_hash,
    Message::Ref& message,
    std::span<const SlotTarget> slots,
    const void* from_session,
    FrameCache& frames,
    Keeper& keeper
) {
  ++delivery_stamp_;
  merged_.clear();
  merged_ids_.clear();
  std::uint32_t delivered = 0;
  for (const SlotTarget& target : slots) {
    if (target.one_member) {
      delivered += deliver_to_group(publish, topic_hash, message, target, keeper) ? 1 : 0;
      continue;
    }
    for (const Subscriber& subscriber : subscribers_.slot(target.slot).subscribers) {
      if (!subscriber.no_local || subscriber.session != from_session) {
        merge(subscriber, publish);
      }
    }
  }
  std::stable_sort(merged_ids_.begin(), merged_ids_.end(), [](const auto& a, const auto& b) {
    return a.first < b.first;
  });
  auto next_id = merged_ids_.begin();
  for (std::uint32_t i = 0; i < merged_.size(); ++i) {
    DeliveryOptions options;
    options.qos = merged_[i].qos;
    options.retain = merged_[i].retain;
    id_scratch_.clear();
    for (; next_id != merged_ids_.end() && next_id->first == i; ++next_id) {
      id_scratch_.push_back(next_id->second);
    }
    options.subscription_ids = id_scratch_;
    delivered +=
        deliver_or_collect(*merged_[i].session, publish, topic_hash, message, frames, options) ? 1
                                                                                               : 0;
  }
  if (!queue_targets_.empty()) {
    delivered += deliver_to_queues(publish, topic_hash, message, frames, keeper);
  }
  return delivered;
}

}  // namespace iotcore::broker
