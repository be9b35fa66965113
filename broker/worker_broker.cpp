#include "broker/worker_broker.h"

#include "base/crypto.h"
#include "base/log.h"
#include "broker/client_session.h"
#include "broker/consumer_table.h"
#include "broker/housekeeper.h"
#include "broker/reserved_topics.h"
#include "broker/retained.h"
#include "broker/retained_writes.h"
#include "broker/topic.h"
#include "broker/topic_tree.h"
#include "store/store.h"

#include <algorithm>

namespace iotcore::broker {
namespace {

// A rule that republishes into its own filter would never end (rule-actions.md 5, republish).
constexpr std::uint8_t kHopsMax = 8;

thread_local WorkerBroker* current_worker = nullptr;

WorkerBroker::Counters make_counters(Metrics& metrics, WorkerId id) {
  const MetricLabels worker = {{"worker", std::to_string(index(id))}};
  const auto dropped = [&](const char* reason) -> Counter& {
    MetricLabels labels = worker;
    labels["reason"] = reason;
    return metrics.counter(
        "iotcore_messages_dropped_total", "Messages not delivered to a subscriber", labels
    );
  };
  return WorkerBroker::Counters{
      metrics.counter("iotcore_messages_received_total", "Messages published", worker),
      metrics.counter("iotcore_messages_delivered_total", "Messages sent to subscribers", worker),
      dropped("queue_full"),
      dropped("slow_receiver"),
      dropped("not_authorized"),
      dropped("too_large"),
      dropped("expired"),
      dropped("republish_loop"),
      metrics.counter("iotcore_connects_total", "MQTT connections accepted", worker),
      metrics.counter("iotcore_connects_refused_total", "MQTT connections refused", worker),
  };
}

}  // namespace

// The publish under way.
class WorkerBroker::Context final : public PublishContext {
 public:
  Context(
      WorkerBroker& worker, const Publisher& publisher, const PublishView& publish, AckSource* acks
  )
      : PublishContext(worker, publisher, publish), acks_(acks) {}

  ~Context() override { own_.release(); }

  PendingAck::Hold hold() override {
    if (acks_ == nullptr) {
      return {};
    }
    if (ack_ == nullptr) {
      ack_ = &acks_->make();
      own_ = ack_->hold();
    }
    return ack_->hold();
  }

  store::Batch& durable_batch() override { return worker_.durable_batch(hold()); }

  Message::Ref& message_slot() { return message_; }

  bool deferred() const { return ack_ != nullptr; }

 private:
  AckSource* acks_;
  PendingAck* ack_ = nullptr;
  PendingAck::Hold
      own_;  // so that the acknowledgement does not go before all consumers have been asked
};

WorkerBroker::WorkerBroker(Broker& broker, WorkerId id, TimerWheel& timers)
    : broker_(broker),
      id_(id),
      timers_(timers),
      keep_alives_(timers, broker.clock()),
      subscribers_(broker.tree(), id),
      cache_(broker.tree(), id, broker.options().topic_cache_entries),
      remote_(broker.workers().count()),
      session_id_prefix_(to_hex(random_bytes(8))),
      counters_(make_counters(broker.metrics(), id)),
      lifeline_(std::make_shared<WorkerLifeline>(*this)),
      housekeeper_(index(id) == 0 ? std::make_unique<Housekeeper>(*this) : nullptr) {}

WorkerBroker::~WorkerBroker() {
  if (current_worker == this) {
    current_worker = nullptr;
  }
  lifeline_->cut();
}

bool WorkerLifeline::post(Function<void()> task) {
  const std::lock_guard lock(mutex_);
  if (worker_ == nullptr) {
    return false;
  }
  worker_->executor().post(std::move(task));
  return true;
}

void WorkerLifeline::cut() {
  const std::lock_guard lock(mutex_);
  worker_ = nullptr;
}

Executor& WorkerBroker::executor() {
  return broker_.workers().executor(id_);
}

void WorkerBroker::bind_to_thread() {
  current_worker = this;
}

bool WorkerBroker::is_current() const {
  return current_worker == this;
}

WorkerBroker* WorkerBroker::current() {
  return current_worker;
}

std::string WorkerBroker::session_id(std::uint64_t number) const {
  // In the form of a UUID, unique by a random half for the process and worker and a count.
  std::string tail;
  append_u64(tail, number);
  tail = to_hex(tail);
  const std::string& head = session_id_prefix_;
  return head.substr(0, 8) + '-' + head.substr(8, 4) + '-' + head.substr(12) + '-' +
         tail.substr(0, 4) + '-' + tail.substr(4);
}

store::Batch& WorkerBroker::durable_batch(PendingAck::Hold waits) {
  if (waits) {
    batch_waits_.push_back(std::move(waits));
  }
  return batch_;
}

bool WorkerBroker::has_receivers(std::string_view topic) {
  return !cache_.find(topic, stable_hash(topic)).empty();
}

PublishResult WorkerBroker::publish(
    const Publisher& publisher, const PublishView& publish, AckSource* acks
) {
  counters_.received.add();
  PublishResult result;
  Context context(*this, publisher, publish, acks);
  if (publish.topic.starts_with('$')) [[unlikely]] {
    if (!basic_ingest_topic(publish.topic).rule.empty()) {
      if (MessageConsumer* ingest = broker_.basic_ingest(); ingest != nullptr) {
        ingest->on_message(context);
        result.receivers = 1;
      }
      result.deferred = context.deferred();
      return result;
    }
  } else if (publish.retain) {
    const Result<bool> kept = broker_.retained().set(publish);
    result.retain_refused = !kept;
    if (kept && *kept) {
      write_retained(*this, publish.topic, context.hold());
    }
  }

  const std::uint64_t hash = stable_hash(publish.topic);
  const MatchSet& matches = cache_.find(publish.topic, hash);
  if (!matches.group_ends.empty()) {
    result.receivers += choose_group_workers(matches, context);
    if (!group_slots_.empty()) {
      target_slots_.assign(matches.local.begin(), matches.local.end());
      target_slots_.insert(target_slots_.end(), group_slots_.begin(), group_slots_.end());
      result.receivers +=
          deliver_local(publish, hash, context.message_slot(), target_slots_, publisher.session);
    }
  }
  if (group_slots_.empty() && !matches.local.empty()) {
    result.receivers +=
        deliver_local(publish, hash, context.message_slot(), matches.local, publisher.session);
  }
  group_slots_.clear();
  if (!matches.remote.empty()) {
    result.receivers += send_to_workers(matches, context);
  }
  for (const std::uint32_t slot : matches.consumers) {
    const ConsumerTable::List* consumers = broker_.consumers().consumers(slot);
    for (MessageConsumer* consumer : *consumers) {
      consumer->on_message(context);
      ++result.receivers;
    }
  }
  result.deferred = context.deferred();
  return result;
}

std::uint32_t WorkerBroker::deliver_local(
    const PublishView& publish,
    std::uint64_t topic_hash,
    Message::Ref& message,
    std::span<const SlotTarget> slots,
    const void* from_session
) {
  FrameCache frames(publish, now());
  if (slots.size() != 1 || slots[0].one_member) {
    return deliver_merged(publish, topic_hash, message, slots, from_session, frames);
  }
  std::uint32_t delivered = 0;
  for (const Subscriber& subscriber : subscribers_.slot(slots[0].slot).subscribers) {
    if (subscriber.no_local && subscriber.client == from_session) {
      continue;
    }
    DeliveryOptions options;
    options.qos = std::min(subscriber.qos, publish.qos);
    options.retain = subscriber.retain_as_published && publish.retain;
    if (subscriber.subscription_id != 0) {
      options.subscription_ids = {&subscriber.subscription_id, 1};
    }
    delivered += subscriber.client->deliver(publish, topic_hash, message, frames, options) ? 1 : 0;
  }
  return delivered;
}

void WorkerBroker::merge(const Subscriber& subscriber, const PublishView& publish) {
  ClientSession& client = *subscriber.client;
  const mqtt::Qos qos = std::min(subscriber.qos, publish.qos);
  const bool retain = subscriber.retain_as_published && publish.retain;
  if (client.delivery_stamp != delivery_stamp_) {
    client.delivery_stamp = delivery_stamp_;
    client.delivery_entry = static_cast<std::uint32_t>(merged_.size());
    merged_.push_back({&client, qos, retain});
  } else {
    Merged& entry = merged_[client.delivery_entry];
    entry.qos = std::max(entry.qos, qos);
    entry.retain = entry.retain || retain;
  }
  if (subscriber.subscription_id != 0) {
    merged_ids_.emplace_back(client.delivery_entry, subscriber.subscription_id);
  }
}

std::uint32_t WorkerBroker::deliver_merged(
    const PublishView& publish,
    std::uint64_t topic_hash,
    Message::Ref& message,
    std::span<const SlotTarget> slots,
    const void* from_session,
    FrameCache& frames
) {
  ++delivery_stamp_;
  merged_.clear();
  merged_ids_.clear();
  std::uint32_t delivered = 0;
  for (const SlotTarget& target : slots) {
    if (target.one_member) {
      delivered += deliver_to_one_member(publish, topic_hash, message, target.slot);
      continue;
    }
    for (const Subscriber& subscriber : subscribers_.slot(target.slot).subscribers) {
      if (!subscriber.no_local || subscriber.client != from_session) {
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
    delivered += merged_[i].client->deliver(publish, topic_hash, message, frames, options) ? 1 : 0;
  }
  return delivered;
}

std::uint32_t WorkerBroker::deliver_to_one_member(
    const PublishView& publish,
    std::uint64_t topic_hash,
    Message::Ref& message,
    std::uint32_t slot_index
) {
  SubscriberTable::Slot& slot = subscribers_.slot(slot_index);
  // The next in turn; one that may not or cannot take it passes it on.
  for (std::size_t tried = 0; tried < slot.subscribers.size(); ++tried) {
    slot.next_member = (slot.next_member + 1) % static_cast<std::uint32_t>(slot.subscribers.size());
    const Subscriber& member = slot.subscribers[slot.next_member];
    DeliveryOptions options;
    options.qos = std::min(member.qos, publish.qos);
    options.retain = member.retain_as_published && publish.retain;
    if (member.subscription_id != 0) {
      options.subscription_ids = {&member.subscription_id, 1};
    }
    // A member may get the message by a filter of its own as well, so this copy is encoded by itself.
    FrameCache frames(publish, now());
    if (member.client->deliver(publish, topic_hash, message, frames, options)) {
      return 1;
    }
  }
  return 0;
}

std::uint32_t WorkerBroker::choose_group_workers(const MatchSet& matches, Context& context) {
  group_slots_.clear();
  std::uint32_t sent = 0;
  std::uint32_t begin = 0;
  for (const std::uint32_t end : matches.group_ends) {
    std::uint64_t members = 0;
    for (std::uint32_t i = begin; i < end; ++i) {
      members += matches.group_members[i].members;
    }
    std::uint64_t turn = members == 0 ? 0 : group_turn_++ % members;
    for (std::uint32_t i = begin; i < end; ++i) {
      const GroupMember& member = matches.group_members[i];
      if (turn >= member.members) {
        turn -= member.members;
        continue;
      }
      if (member.worker == id_) {
        group_slots_.push_back({member.slot, true});
      } else {
        add_remote(member.worker, {member.slot, true}, context.message());
        ++sent;
      }
      break;
    }
    begin = end;
  }
  return sent;
}

std::uint32_t WorkerBroker::send_to_workers(const MatchSet& matches, Context& context) {
  const Message::Ref& message = context.message();
  std::uint32_t workers = 0;
  for (std::size_t i = 0; i < matches.remote.size(); ++i) {
    const MatchSet::Remote& target = matches.remote[i];
    const bool first_of_worker = i == 0 || matches.remote[i - 1].worker != target.worker;
    if (first_of_worker) {
      add_remote(target.worker, {target.slot, false}, message);
      ++workers;
    } else {
      RemoteBatch& batch = remote_[index(target.worker)];
      batch.slots.push_back({target.slot, false});
      ++batch.deliveries.back().slot_count;
    }
  }
  return workers;
}

void WorkerBroker::add_remote(WorkerId worker, SlotTarget target, const Message::Ref& message) {
  RemoteBatch& batch = remote_[index(worker)];
  if (batch.deliveries.empty()) {
    remote_touched_.push_back(worker);
  }
  batch.deliveries.push_back({message, static_cast<std::uint32_t>(batch.slots.size()), 1});
  batch.slots.push_back(target);
}

// A slot may have passed to another filter while the message was on its way from the worker that matched it.
bool WorkerBroker::is_still_meant(SlotTarget target, std::string_view topic) {
  const SubscriberTable::Slot& slot = subscribers_.slot(target.slot);
  if (slot.shared != target.one_member) {
    return false;
  }
  if (slot.filter == topic) {
    return true;
  }
  const FilterView parts =
      slot.shared ? *parse_filter(slot.filter, kAnyTopicLimits) : FilterView{{}, slot.filter};
  return topic_matches(parts.filter, topic, options().hash_matches_parent);
}

void WorkerBroker::deliver_remote_batch(const RemoteBatch& batch) {
  for (const RemoteDelivery& delivery : batch.deliveries) {
    const PublishView& publish = delivery.message->view();
    const auto meant = [&](SlotTarget target) { return is_still_meant(target, publish.topic); };
    auto slots = std::span(batch.slots).subspan(delivery.first_slot, delivery.slot_count);
    if (!std::all_of(slots.begin(), slots.end(), meant)) [[unlikely]] {
      target_slots_.clear();
      std::copy_if(slots.begin(), slots.end(), std::back_inserter(target_slots_), meant);
      slots = target_slots_;
    }
    if (!slots.empty()) {
      Message::Ref message = delivery.message;
      deliver_local(publish, stable_hash(publish.topic), message, slots, nullptr);
    }
  }
}

void WorkerBroker::publish_later(OwnedPublish publish) {
  later_.push_back(std::move(publish));
}

namespace {

// The publish that a hold stands for is acknowledged when the publish it caused is.
class ChainedAck final : public PendingAck, public AckSource {
 public:
  explicit ChainedAck(PendingAck::Hold outer)
      : PendingAck(&ChainedAck::complete), outer_(std::move(outer)) {}

  PendingAck& make() override { return *this; }

  // The publish did not have to be kept.
  void kept() { outer_.release(); }

 private:
  static void complete(PendingAck& self, std::optional<Errc> failure) {
    auto& chained = static_cast<ChainedAck&>(self);
    if (failure) {
      chained.outer_.fail(*failure);
    }
    chained.outer_.release();
    delete &chained;
  }

  PendingAck::Hold outer_;
};

}  // namespace

void WorkerBroker::run_later() {
  while (later_next_ < later_.size()) {
    OwnedPublish next = std::move(later_[later_next_++]);
    const PublishView& view = next.message->view();
    if (view.hops > kHopsMax) {
      counters_.dropped_hops.add();
      next.hold.release();
      log(LogLevel::kWarn, "republish.loop", {{"topic", view.topic}, {"hops", int{view.hops}}});
      continue;
    }
    Publisher publisher;
    publisher.client_id = next.client_id;
    publisher.principal = next.principal;
    publisher.source_ip = next.source_ip;
    auto chained = next.hold ? std::make_unique<ChainedAck>(std::move(next.hold)) : nullptr;
    const PublishResult result = publish(publisher, view, chained.get());
    if (chained != nullptr && !result.deferred) {
      chained->kept();
    } else {
      static_cast<void>(chained.release());  // it deletes itself when it is complete
    }
  }
  later_.clear();
  later_next_ = 0;
}

void WorkerBroker::send_remote_batches() {
  for (const WorkerId worker : remote_touched_) {
    RemoteBatch batch = std::exchange(remote_[index(worker)], RemoteBatch{});
    broker_.workers().executor(worker).post([&target = broker_.workers().broker(worker),
                                             batch = std::move(batch)] {
      target.deliver_remote_batch(batch);
    });
  }
  remote_touched_.clear();
}

void WorkerBroker::commit_turn() {
  ++commit_number_;
  if (batch_.empty()) {
    for (PendingAck::Hold& wait : batch_waits_) {
      wait.release();
    }
    batch_waits_.clear();
    return;
  }
  store::Batch batch = std::exchange(batch_, store::Batch());
  if (batch_waits_.empty()) {
    broker_.store().commit(std::move(batch), nullptr, nullptr);
    return;
  }
  broker_.store().commit(
      std::move(batch),
      &executor(),
      [waits = std::exchange(batch_waits_, {})](Result<store::Revision> committed) mutable {
        for (PendingAck::Hold& wait : waits) {
          if (!committed) {
            wait.fail(committed.error().code());
          }
          wait.release();
        }
      }
  );
}

void WorkerBroker::end_turn() {
  if (!later_.empty()) {
    run_later();
  }
  if (!remote_touched_.empty()) {
    send_remote_batches();
  }
  if (!batch_.empty() || !batch_waits_.empty()) {
    commit_turn();
  }
  now_ = {};
}

}  // namespace iotcore::broker
