// The part of WorkerBroker that delivers to other workers, and for them.
#include "broker/stored_sessions.h"
#include "broker/topic.h"
#include "broker/worker_broker.h"
#include "broker/worker_context.h"
#include "broker/worker_sessions.h"

#include <algorithm>
#include <iterator>

namespace iotcore::broker {

std::uint32_t WorkerBroker::send_to_workers(const MatchSet& matches, Context& context) {
  const Message::Ref& message = context.message();
  std::uint32_t workers = 0;
  bool is_sent = false;
  for (std::size_t i = 0; i < matches.remote.size(); ++i) {
    const MatchSet::Remote& target = matches.remote[i];
    const bool first_of_worker = i == 0 || matches.remote[i - 1].worker != target.worker;
    if (first_of_worker) {
      is_sent = add_remote(target.worker, {target.slot}, message);
      if (is_sent) {
        keep_remote(target.worker, context);
        ++workers;
      }
    } else if (is_sent) {
      RemoteBatch& batch = remote_[index(target.worker)];
      batch.slots.push_back({target.slot});
      ++batch.deliveries.back().slot_count;
    }
  }
  return workers;
}

bool WorkerBroker::add_remote(
    WorkerId worker, SlotTarget target, const Message::Ref& message, std::uint64_t group
) {
  RemoteBatch& batch = remote_[index(worker)];
  const PublishView& publish = message->view();
  const std::size_t bytes = sizeof(Message) + bytes_of(publish);
  const std::int64_t waiting = broker_.mailbox_bytes(worker).load(std::memory_order_relaxed);
  if (publish.qos == mqtt::Qos::kAtMostOnce &&
      waiting + static_cast<std::int64_t>(batch.bytes + bytes) >
          static_cast<std::int64_t>(options().mailbox_bytes_max)) {
    counters_.dropped_mailbox.add();
    return false;
  }
  batch.bytes += bytes;
  if (batch.deliveries.empty()) {
    remote_touched_.push_back(worker);
  }
  batch.deliveries.push_back({message, static_cast<std::uint32_t>(batch.slots.size()), 1, group});
  batch.slots.push_back(target);
  return true;
}

// The acknowledgement waits for the other worker if that has sessions to keep the message for.
void WorkerBroker::keep_remote(WorkerId worker, Context& context) {
  if (context.publish().qos == mqtt::Qos::kAtMostOnce || !context.is_awaited() ||
      broker_.sessions().count(worker) == 0) {
    return;
  }
  RemoteBatch& batch = remote_[index(worker)];
  batch.keeps.push_back({batch.deliveries.size() - 1, context.hold(), context.exactly_once, id_});
  if (context.exactly_once) {
    context.exactly_once->expect();
  }
}

bool WorkerBroker::needs_own_commit(
    const Publisher& publisher, const PublishView& publish, const MatchSet& matches, bool ingest
) const {
  const bool is_behind_or_kept_by_others =
      !publisher.receipt.empty() && (publish.retain || ingest || !matches.consumers.empty() ||
                                     uncommitted_.contains(publisher.session));
  return is_behind_or_kept_by_others || spans_workers(matches);
}

bool WorkerBroker::spans_workers(const MatchSet& matches) const {
  const auto has_sessions = [this](WorkerId worker) {
    return worker != id_ && broker_.sessions().count(worker) != 0;
  };
  return std::any_of(
             matches.remote.begin(),
             matches.remote.end(),
             [&](const MatchSet::Remote& remote) { return has_sessions(remote.worker); }
         ) ||
         std::any_of(
             matches.group_members.begin(),
             matches.group_members.end(),
             [&](const auto& member) { return has_sessions(member.worker); }
         );
}

// A slot may have passed to another filter while the message was on its way from the worker that matched it.
bool WorkerBroker::is_still_meant(SlotTarget target, std::string_view topic) {
  const SubscriberTable::Slot& slot = subscribers_.slot(target.slot);
  if (slot.shared != target.one_member) {
    return false;
  }
  if (slot.filter() == topic) {
    return true;
  }
  const FilterView parts =
      slot.shared ? *parse_filter(slot.filter(), kAnyTopicLimits) : FilterView{{}, slot.filter()};
  return topic_matches(parts.filter, topic, options().hash_matches_parent);
}

void WorkerBroker::deliver_remote_batch(RemoteBatch& batch) {
  broker_.mailbox_bytes(id_).fetch_sub(
      static_cast<std::int64_t>(batch.bytes), std::memory_order_relaxed
  );
  auto next_keep = batch.keeps.begin();
  for (std::size_t i = 0; i < batch.deliveries.size(); ++i) {
    const RemoteDelivery& delivery = batch.deliveries[i];
    RemoteKeep* keep = nullptr;
    if (next_keep != batch.keeps.end() && next_keep->delivery == i) {
      keep = &*next_keep++;
    }
    const PublishView& publish = delivery.message->view();
    const auto meant = [&](SlotTarget target) { return is_still_meant(target, publish.topic); };
    std::span<const SlotTarget> slots =
        std::span(batch.slots).subspan(delivery.first_slot, delivery.slot_count);
    if (std::all_of(slots.begin(), slots.end(), meant)) [[likely]] {
      deliver_remote(delivery, slots, keep);
      continue;
    }
    target_slots_.clear();
    std::copy_if(slots.begin(), slots.end(), std::back_inserter(target_slots_), meant);
    if (delivery.group != 0) {
      // The last member here has left while the message was on its way: it is for the others.
      bool elsewhere = false;
      const GroupMember* member = choose_member_now(delivery.group, publish, elsewhere);
      const SlotTarget target{member == nullptr ? 0 : member->slot, true, elsewhere};
      if (member != nullptr && member->worker != id_) {
        RemoteBatch& other = remote_[index(member->worker)];
        if (add_remote(member->worker, target, delivery.message, delivery.group) &&
            keep != nullptr) {
          keep->delivery = other.deliveries.size() - 1;
          other.keeps.push_back(std::move(*keep));
        }
        continue;
      }
      if (member != nullptr) {
        target_slots_.push_back(target);
      }
    }
    deliver_remote(delivery, target_slots_, keep);
  }
}

void WorkerBroker::deliver_remote(
    const RemoteDelivery& delivery, std::span<const SlotTarget> slots, RemoteKeep* keep
) {
  const PublishView& publish = delivery.message->view();
  const std::uint64_t hash = stable_hash(publish.topic);
  Message::Ref message = delivery.message;
  Keeper keeper;
  if (keep == nullptr) {
    deliver_local(publish, hash, message, slots, nullptr, keeper);
    return;
  }
  ExactlyOnce::Part part;
  keeper.hold = &keep->hold;
  if (keep->exactly_once) {
    part.worker = id_;
    keeper.exactly_once = &part;
  }
  deliver_local(publish, hash, message, slots, nullptr, keeper);
  keep->hold.release();  // unless the batch has it now
  if (keep->exactly_once) {
    WorkerBroker& publisher = broker_.workers().broker(keep->publisher);
    broker_.workers()
        .executor(keep->publisher)
        .post([&publisher, publish = keep->exactly_once, part = std::move(part)]() mutable {
          publisher.on_part(publish, std::move(part));
        });
  }
}

void WorkerBroker::on_part(const std::shared_ptr<ExactlyOnce>& publish, ExactlyOnce::Part part) {
  std::shared_ptr<ExactlyOnce> next = publish;
  bool is_complete = next->arrived(std::move(part));
  while (is_complete) {
    const std::shared_ptr<ExactlyOnce> complete = std::move(next);
    commit_exactly_once(*complete);
    next = std::move(complete->next);
    if (next == nullptr) {
      uncommitted_.erase(complete->session);
      return;
    }
    is_complete = next->arrived(ExactlyOnce::Part());
  }
}

void WorkerBroker::put_in_order(
    const Publisher& publisher, const std::shared_ptr<ExactlyOnce>& publish
) {
  if (publisher.receipt.empty()) {
    return;  // what a crash ends is not sent again
  }
  publish->session = publisher.session;
  std::shared_ptr<ExactlyOnce>& last = uncommitted_[publisher.session];
  if (last != nullptr) {
    publish->expect();
    last->next = publish;
  }
  last = publish;
}

// One batch is written whole or not at all, and this turn's is one.
void WorkerBroker::commit_exactly_once(ExactlyOnce& publish) {
  if (publish.failure) {
    give_up(publish);
    return;
  }
  turn_.add(publish);
}

// Its rows are written nowhere, and whoever waits for them is told.
void WorkerBroker::give_up(ExactlyOnce& publish) {
  for (ExactlyOnce::Part& part : publish.parts()) {
    WorkerBroker& owner = broker_.workers().broker(part.worker);
    broker_.workers().executor(part.worker).post([&owner, marks = std::move(part.marks)] {
      owner.sessions().on_committed(marks, false);
    });
  }
  publish.publisher.fail(*publish.failure);
  publish.publisher.release();
}

}  // namespace iotcore::broker
