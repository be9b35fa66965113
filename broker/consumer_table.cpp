#include "broker/consumer_table.h"

#include "base/check.h"
#include "broker/topic_tree.h"

#include <algorithm>

namespace iotcore::broker {

ConsumerTable::ConsumerTable(TopicTree& tree, QuiescentDomain& quiescent)
    : tree_(tree),
      blocks_(std::make_unique<std::atomic<Block*>[]>(kSlotsMax / kBlock)),
      retired_(quiescent) {}

ConsumerTable::~ConsumerTable() {
  for (std::uint32_t i = 0; i < kSlotsMax / kBlock; ++i) {
    if (Block* block = blocks_[i].load(); block != nullptr) {
      for (const auto& list : block->lists) {
        delete list.load();
      }
      delete block;
    }
  }
}

std::atomic<const ConsumerTable::List*>& ConsumerTable::list_at(std::uint32_t slot) {
  std::atomic<Block*>& block = blocks_[slot / kBlock];
  if (block.load(std::memory_order_relaxed) == nullptr) {
    block.store(new Block(), std::memory_order_release);
  }
  return block.load(std::memory_order_relaxed)->lists[slot % kBlock];
}

void ConsumerTable::replace(std::uint32_t slot, const List* list) {
  const List* old = list_at(slot).exchange(list, std::memory_order_acq_rel);
  if (old != nullptr) {
    retired_.retire(const_cast<List*>(old), sizeof(List), [](void* memory) {
      delete static_cast<List*>(memory);
    });
  }
}

std::uint64_t ConsumerTable::add(std::string_view filter, MessageConsumer& consumer) {
  const std::lock_guard lock(writer_);
  const auto known = slot_of_filter_.find(filter);
  std::uint32_t slot;
  if (known != slot_of_filter_.end()) {
    slot = known->second;
    auto list = std::make_unique<List>(*list_at(slot).load(std::memory_order_relaxed));
    list->push_back(&consumer);
    replace(slot, list.release());
  } else {
    if (free_slots_.empty()) {
      slot = static_cast<std::uint32_t>(filter_of_slot_.size());
      IOTCORE_CHECK(slot < kSlotsMax);
      filter_of_slot_.emplace_back();
    } else {
      slot = free_slots_.back();
      free_slots_.pop_back();
    }
    filter_of_slot_[slot] = filter;
    slot_of_filter_.emplace(filter, slot);
    replace(slot, new List{&consumer});
    tree_.add(filter, kConsumers, slot);
  }
  registrations_[next_id_] = {slot, &consumer};
  return next_id_++;
}

void ConsumerTable::remove(std::uint64_t id) {
  const std::lock_guard lock(writer_);
  const auto found = registrations_.find(id);
  if (found == registrations_.end()) {
    return;
  }
  const Registration registration = found->second;
  registrations_.erase(found);
  auto list = std::make_unique<List>(*list_at(registration.slot).load(std::memory_order_relaxed));
  list->erase(std::find(list->begin(), list->end(), registration.consumer));
  const bool last = list->empty();
  if (last) {
    const std::string& filter = filter_of_slot_[registration.slot];
    tree_.remove(filter, kConsumers);
    slot_of_filter_.erase(filter);
    free_slots_.push_back(registration.slot);
  }
  // An emptied list stays in place for readers whose match is from before.
  replace(registration.slot, list.release());
}

}  // namespace iotcore::broker
