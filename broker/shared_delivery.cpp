// The part of WorkerBroker that picks the worker and the member of a shared subscription who gets a message (MQTT5 4.8.2).
#include "broker/client_session.h"
#include "broker/session.h"
#include "broker/topic.h"
#include "broker/topic_tree.h"
#include "broker/worker_broker.h"
#include "broker/worker_context.h"

#include <algorithm>

namespace iotcore::broker {
namespace {

// How many members that could take a message are compared before one of them gets it: a group of thousands costs no more than one of eight.
constexpr std::size_t kComparedMax = 8;

bool takes_at_once(const Subscriber& member, const PublishView& publish) {
  const ClientSession* client = member.session->client();
  return client != nullptr && client->takes_at_once(std::min(member.qos, publish.qos));
}

}  // namespace

const GroupMember* WorkerBroker::choose_member(std::span<const GroupMember> group) {
  std::uint64_t members = 0;
  for (const GroupMember& member : group) {
    members += member.members;
  }
  std::uint64_t turn = members == 0 ? 0 : group_turn_++ % members;
  for (const GroupMember& member : group) {
    if (turn < member.members) {
      return &member;
    }
    turn -= member.members;
  }
  return nullptr;
}

const GroupMember* WorkerBroker::choose_member_now(
    std::uint64_t group, const PublishView& publish, bool& elsewhere
) {
  const MatchSet& matches = cache_.find(publish.topic, stable_hash(publish.topic));
  const auto found = std::find(matches.group_ids.begin(), matches.group_ids.end(), group);
  if (found == matches.group_ids.end()) {
    return nullptr;
  }
  const auto at = static_cast<std::size_t>(found - matches.group_ids.begin());
  const std::uint32_t begin = at == 0 ? 0 : matches.group_ends[at - 1];
  const auto members =
      std::span(matches.group_members).subspan(begin, matches.group_ends[at] - begin);
  elsewhere = members.size() > 1;
  return choose_member(members);
}

std::uint32_t WorkerBroker::choose_group_workers(
    const MatchSet& matches, Context& context, std::vector<SlotTarget>& here
) {
  std::uint32_t sent = 0;
  std::uint32_t begin = 0;
  for (std::size_t i = 0; i < matches.group_ends.size(); ++i) {
    const std::uint32_t end = matches.group_ends[i];
    const auto group = std::span(matches.group_members).subspan(begin, end - begin);
    begin = end;
    const GroupMember* member = choose_member(group);
    if (member == nullptr) {
      continue;
    }
    const SlotTarget target{member->slot, true, group.size() > 1};
    if (member->worker == id_) {
      here.push_back(target);
    } else if (add_remote(member->worker, target, context.message(), matches.group_ids[i])) {
      keep_remote(member->worker, context);
      ++sent;
    }
  }
  return sent;
}

bool WorkerBroker::deliver_to_member(
    const PublishView& publish,
    std::uint64_t topic_hash,
    Message::Ref& message,
    std::uint32_t slot_index,
    std::size_t member_index,
    Keeper& keeper
) {
  SubscriberTable::Slot& slot = subscribers_.slot(slot_index);
  const Subscriber& member = slot.subscribers[member_index];
  DeliveryOptions options;
  options.qos = std::min(member.qos, publish.qos);
  options.retain = member.retain_as_published && publish.retain;
  options.share_slot = slot_index;
  if (member.subscription_id != 0) {
    options.subscription_ids = {&member.subscription_id, 1};
  }
  // A member may get the message by a filter of its own as well, so this copy is encoded by itself.
  FrameCache frames(publish, now());
  const bool taken =
      deliver_or_collect(*member.session, publish, topic_hash, message, frames, options) ||
      (!queue_targets_.empty() &&
       deliver_to_queues(publish, topic_hash, message, frames, keeper) != 0);
  if (taken) {
    slot.next_member = static_cast<std::uint32_t>(member_index);
  }
  return taken;
}

bool WorkerBroker::deliver_to_one_member(
    const PublishView& publish,
    std::uint64_t topic_hash,
    Message::Ref& message,
    std::uint32_t slot_index,
    bool may_wait,
    Keeper& keeper
) {
  const SubscriberTable::Slot& slot = subscribers_.slot(slot_index);
  const std::size_t count = slot.subscribers.size();
  const bool in_turn = options().share_strategy == ShareStrategy::kRoundRobin;
  const std::size_t first = slot.next_member + std::size_t{1};
  std::size_t best = count;
  std::size_t best_load = 0;
  std::size_t compared = 0;
  for (std::size_t i = 0; i < count && compared < kComparedMax; ++i) {
    const std::size_t at = (first + i) % count;
    const Subscriber& member = slot.subscribers[at];
    if (!takes_at_once(member, publish)) {
      continue;
    }
    const std::size_t load = in_turn ? 0 : member.session->client()->load();
    if (best == count || load < best_load) {
      best = at;
      best_load = load;
    }
    if (load == 0) {
      break;
    }
    ++compared;
  }
  if (best != count && deliver_to_member(publish, topic_hash, message, slot_index, best, keeper)) {
    return true;
  }
  // That one may not have it, or nobody takes it at once: then whoever is next, rather one that is there than one that is away.
  for (const bool away : {false, true}) {
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t at = (first + i) % count;
      const Subscriber& member = slot.subscribers[at];
      const bool is_due = at != best && (member.session->client() == nullptr) == away &&
                          (may_wait || takes_at_once(member, publish));
      if (is_due && deliver_to_member(publish, topic_hash, message, slot_index, at, keeper)) {
        return true;
      }
    }
  }
  return false;
}

bool WorkerBroker::deliver_to_group(
    const PublishView& publish,
    std::uint64_t topic_hash,
    Message::Ref& message,
    const SlotTarget& target,
    Keeper& keeper
) {
  // Where there are members on other workers, one of them may take at once what would have to wait here. Of QoS 2 the rows of all receivers go
  // into one batch, which is being made now.
  const bool may_pass_on = target.elsewhere && publish.qos != mqtt::Qos::kExactlyOnce;
  if (deliver_to_one_member(publish, topic_hash, message, target.slot, !may_pass_on, keeper)) {
    return true;
  }
  if (!may_pass_on) {
    return false;
  }
  SharedMessage shared;
  shared.message = message ? message : Message::make(publish);
  shared.filter = subscribers_.slot(target.slot).filter();
  shared.asked = std::uint64_t{1} << index(id_);
  if (keeper.context != nullptr) {
    shared.hold = keeper.context->hold();
  } else if (keeper.hold != nullptr) {
    shared.hold = std::move(*keeper.hold);
  }
  pass_on(std::move(shared));
  return true;
}

void WorkerBroker::pass_on(SharedMessage shared) {
  // In a turn of its own: what is under way may be looking at the tables.
  executor().post([this, passed = std::make_unique<SharedMessage>(std::move(shared))] {
    offer(std::move(*passed));
  });
}

void WorkerBroker::offer(SharedMessage shared) {
  Message::Ref message = shared.message;
  const PublishView& publish = message->view();
  const std::uint32_t slot = subscribers_.find(shared.filter);
  const bool was_asked = (shared.asked >> index(id_)) % 2 != 0;
  if (!was_asked && slot != SubscriberTable::kNone) {
    Keeper keeper;
    keeper.hold = &shared.hold;
    if (deliver_to_one_member(
            publish, stable_hash(publish.topic), message, slot, shared.may_wait, keeper
        )) {
      if (!shared.row.empty()) {
        turn_.rows().erase(store::Table::kQueue, shared.row);
      }
      shared.hold.release();  // unless the batch has it now
      return;
    }
  }
  shared.asked |= std::uint64_t{1} << index(id_);
  const FilterView parts = *parse_filter(shared.filter, kAnyTopicLimits);
  const std::vector<GroupMembers> workers =
      broker_.tree().group_members(parts.filter, parts.share_name);
  const auto next = std::find_if(workers.begin(), workers.end(), [&](const GroupMembers& members) {
    return (shared.asked >> index(members.worker)) % 2 == 0;
  });
  WorkerId target = id_;
  if (next != workers.end()) {
    target = next->worker;
  } else if (!shared.may_wait && !workers.empty()) {
    // Nobody anywhere takes it at once: now whoever has room for it to wait.
    shared.may_wait = true;
    shared.asked = 0;
    target = workers.front().worker;
  } else {
    counters_.dropped_queue_full.add();
    shared.hold.release();
    return;
  }
  broker_.workers().broker(target).pass_on(std::move(shared));
}

}  // namespace iotcore::broker
