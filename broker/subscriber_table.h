#pragma once

#include "base/ids.h"
#include "broker/slot_index.h"
#include "broker/subscriber_list.h"

#include <cstdint>
#include <deque>
#include <memory>
#include <string_view>
#include <vector>

namespace iotcore::broker {

class TopicTree;

// A slot, and whether one member of it is meant (shared subscription) or all.
struct SlotTarget {
  std::uint32_t slot = 0;
  bool one_member = false;
  bool elsewhere = false;  // the group has members on other workers, too
};

// Who on this worker subscribes to what. The topic tree knows only that the worker has a slot for a filter; the subscribers
// behind it are private to the worker, so that the second subscriber of a filter touches nothing shared.
class SubscriberTable {
 public:
  // What a filter costs here counts a million times: its text, one subscriber and the word that finds it are all there is.
  class Slot {
   public:
    // As the client gave it, with $share/name/ if shared. As long as the slot has subscribers.
    std::string_view filter() const { return {filter_.get(), filter_bytes_}; }

    SubscriberList subscribers;
    std::uint32_t next_member = 0;  // shared: round robin
    bool shared = false;

   private:
    friend class SubscriberTable;

    std::uint16_t filter_bytes_ = 0;
    std::unique_ptr<char[]> filter_;
  };

  SubscriberTable(TopicTree& tree, WorkerId worker);
  ~SubscriberTable();
  SubscriberTable(const SubscriberTable&) = delete;
  SubscriberTable& operator=(const SubscriberTable&) = delete;

  struct Added {
    std::uint32_t slot;
    std::uint32_t index;  // of the subscriber in the slot
  };

  // `filter` is valid (parse_filter).
  Added add(std::string_view filter, const Subscriber& subscriber);
  // The same for a filter whose slot is known from find(), or kNone.
  Added add(std::uint32_t slot, std::string_view filter, const Subscriber& subscriber);
  // Takes the subscriber at `index` out; the one that fills its place is told through Session::subscription_moved.
  void remove(std::uint32_t slot, std::uint32_t index);
  // The slot of a filter, or kNone.
  static constexpr std::uint32_t kNone = SlotIndex::kNone;
  std::uint32_t find(std::string_view filter) const;

  Slot& slot(std::uint32_t index) { return slots_[index]; }

  std::size_t filter_count() const { return by_filter_.size(); }

  std::size_t subscription_count() const { return subscription_count_; }

 private:
  std::uint32_t take_slot(std::string_view filter);
  void give_back(std::uint32_t slot);
  std::uint32_t hash_of(std::string_view filter) const;

  TopicTree& tree_;
  WorkerId worker_;
  std::deque<Slot> slots_;
  std::vector<std::uint32_t> free_;
  std::size_t subscription_count_ = 0;
  std::uint64_t hash_seed_;
  SlotIndex by_filter_;
};

}  // namespace iotcore::broker
