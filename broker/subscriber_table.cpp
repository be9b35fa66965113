#include "broker/subscriber_table.h"

#include "base/check.h"
#include "base/memory_use.h"
#include "broker/hash_seed.h"
#include "broker/level_table.h"
#include "broker/session.h"
#include "broker/topic.h"
#include "broker/topic_tree.h"

#include <cstring>

namespace iotcore::broker {
namespace {

// A filter in a slot has been checked, whatever its length: limits are the session's.
FilterView parts_of(std::string_view filter) {
  return *parse_filter(filter, kAnyTopicLimits);
}

// A filter is here and, level by level, in the tree.
std::int64_t memory_of(std::string_view filter) {
  constexpr std::size_t kPerFilter = 192;
  return static_cast<std::int64_t>(kPerFilter + 2 * filter.size());
}

}  // namespace

SubscriberTable::SubscriberTable(TopicTree& tree, WorkerId worker)
    : tree_(tree), worker_(worker), hash_seed_(random_hash_seed()) {}

SubscriberTable::~SubscriberTable() {
  for (const Slot& slot : slots_) {
    if (!slot.subscribers.empty()) {
      MemoryUse::add(-memory_of(slot.filter()));
    }
  }
}

SubscriberTable::Added SubscriberTable::add(std::string_view filter, const Subscriber& subscriber) {
  return add(find(filter), filter, subscriber);
}

SubscriberTable::Added SubscriberTable::add(
    std::uint32_t index, std::string_view filter, const Subscriber& subscriber
) {
  const bool is_new = index == kNone;
  if (is_new) {
    index = take_slot(filter);
  }
  Slot& slot = slots_[index];
  slot.subscribers.push_back(subscriber);
  ++subscription_count_;
  const auto count = static_cast<std::uint32_t>(slot.subscribers.size());
  if (slot.shared) {
    const FilterView parts = parts_of(filter);
    tree_.set_group(parts.filter, parts.share_name, {worker_, index, count});
  } else if (is_new) {
    tree_.add(filter, worker_, index);
  }
  return {index, count - 1};
}

std::uint32_t SubscriberTable::take_slot(std::string_view filter) {
  IOTCORE_CHECK(filter.size() <= 0xFFFF);
  std::uint32_t index = static_cast<std::uint32_t>(slots_.size());
  if (free_.empty()) {
    slots_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  Slot& slot = slots_[index];
  slot.filter_ = std::make_unique<char[]>(filter.size());
  std::memcpy(slot.filter_.get(), filter.data(), filter.size());
  slot.filter_bytes_ = static_cast<std::uint16_t>(filter.size());
  slot.shared = filter.starts_with("$share/") && parts_of(filter).is_shared();
  by_filter_.insert(hash_of(filter), index);
  MemoryUse::add(memory_of(filter));
  return index;
}

void SubscriberTable::give_back(std::uint32_t index) {
  Slot& slot = slots_[index];
  by_filter_.erase(hash_of(slot.filter()), index);
  MemoryUse::add(-memory_of(slot.filter()));
  slot.filter_.reset();
  slot.filter_bytes_ = 0;
  slot.next_member = 0;
  slot.shared = false;
  free_.push_back(index);
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
    const FilterView parts = parts_of(slot.filter());
    tree_.set_group(parts.filter, parts.share_name, {worker_, slot_index, count});
  } else if (count == 0) {
    tree_.remove(slot.filter(), worker_);
  }
  if (count == 0) {
    give_back(slot_index);
  }
}

std::uint32_t SubscriberTable::hash_of(std::string_view filter) const {
  return level_hash(filter, hash_seed_);
}

std::uint32_t SubscriberTable::find(std::string_view filter) const {
  return by_filter_.find(hash_of(filter), [&](std::uint32_t slot) {
    return slots_[slot].filter() == filter;
  });
}

}  // namespace iotcore::broker
