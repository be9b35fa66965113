#include "broker/subscriber_table.h"

#include "base/check.h"
#include "base/memory_use.h"
#include "broker/session.h"
#include "broker/topic.h"
#include "broker/topic_tree.h"

namespace iotcore::broker {
namespace {

// A filter in a slot has been checked, whatever its length: limits are the session's.
FilterView parts_of(std::string_view filter) {
  return *parse_filter(filter, kAnyTopicLimits);
}

// A filter is here and, level by level, in the tree.
std::int64_t memory_of(std::string_view filter) {
  constexpr std::size_t kPerFilter = 256;
  return static_cast<std::int64_t>(kPerFilter + 2 * filter.size());
}

}  // namespace

SubscriberTable::~SubscriberTable() {
  for (const auto& [filter, slot] : by_filter_) {
    MemoryUse::add(-memory_of(filter));
  }
}

SubscriberTable::Added SubscriberTable::add(std::string_view filter, Subscriber subscriber) {
  std::uint32_t index = find(filter);
  const bool is_new = index == kNone;
  if (is_new) {
    if (free_.empty()) {
      index = static_cast<std::uint32_t>(slots_.size());
      slots_.emplace_back();
    } else {
      index = free_.back();
      free_.pop_back();
    }
    Slot& fresh = slots_[index];
    fresh.filter = filter;
    fresh.shared = parts_of(filter).is_shared();
    by_filter_.emplace(fresh.filter, index);
    MemoryUse::add(memory_of(fresh.filter));
  }
  Slot& slot = slots_[index];
  slot.subscribers.push_back(subscriber);
  ++subscription_count_;
  const auto count = static_cast<std::uint32_t>(slot.subscribers.size());
  if (slot.shared) {
    const FilterView parts = parts_of(slot.filter);
    tree_.set_group(parts.filter, parts.share_name, {worker_, index, count});
  } else if (is_new) {
    tree_.add(slot.filter, worker_, index);
  }
  return {index, count - 1};
}

void SubscriberTable::remove(std::uint32_t slot_index, std::uint32_t index) {
  Slot& slot = slots_[slot_index];
  IOTCORE_DCHECK(index < slot.subscribers.size());
  if (index + 1 != slot.subscribers.size()) {
    slot.subscribers[index] = slot.subscribers.back();
    slot.subscribers[index].session->subscription_moved(slot.subscribers[index].place, index);
  }
  slot.subscribers.pop_back();
  --subscription_count_;
  const auto count = static_cast<std::uint32_t>(slot.subscribers.size());
  if (slot.shared) {
    const FilterView parts = parts_of(slot.filter);
    tree_.set_group(parts.filter, parts.share_name, {worker_, slot_index, count});
  } else if (count == 0) {
    tree_.remove(slot.filter, worker_);
  }
  if (count == 0) {
    by_filter_.erase(slot.filter);
    MemoryUse::add(-memory_of(slot.filter));
    slot = Slot{};
    free_.push_back(slot_index);
  }
}

std::uint32_t SubscriberTable::find(std::string_view filter) const {
  const auto found = by_filter_.find(filter);
  return found == by_filter_.end() ? kNone : found->second;
}

}  // namespace iotcore::broker
