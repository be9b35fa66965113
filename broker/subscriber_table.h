#pragma once

#include "base/ids.h"
#include "broker/mqtt/packet.h"

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace iotcore::broker {

class Session;
class TopicTree;

// One client's subscription, in the slot of its filter.
struct Subscriber {
  Session* session = nullptr;
  std::uint32_t place = 0;            // of the entry in the client's own list
  std::uint32_t subscription_id = 0;  // v5; 0: none
  mqtt::Qos qos = mqtt::Qos::kAtMostOnce;
  bool no_local = false;
  bool retain_as_published = false;
};

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
  struct Slot {
    std::string filter;  // as the client gave it, with $share/name/ if shared
    std::vector<Subscriber> subscribers;
    std::uint32_t next_member = 0;  // shared: round robin
    bool shared = false;
  };

  SubscriberTable(TopicTree& tree, WorkerId worker) : tree_(tree), worker_(worker) {}

  ~SubscriberTable();
  SubscriberTable(const SubscriberTable&) = delete;
  SubscriberTable& operator=(const SubscriberTable&) = delete;

  struct Added {
    std::uint32_t slot;
    std::uint32_t index;  // of the subscriber in the slot
  };

  // `filter` is valid (parse_filter).
  Added add(std::string_view filter, Subscriber subscriber);
  // Takes the subscriber at `index` out; the one that fills its place is told through Session::subscription_moved.
  void remove(std::uint32_t slot, std::uint32_t index);
  // The slot of a filter, or kNone.
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;
  std::uint32_t find(std::string_view filter) const;

  Slot& slot(std::uint32_t index) { return slots_[index]; }

  std::size_t filter_count() const { return by_filter_.size(); }

  std::size_t subscription_count() const { return subscription_count_; }

 private:
  TopicTree& tree_;
  WorkerId worker_;
  std::deque<Slot> slots_;
  std::vector<std::uint32_t> free_;
  std::size_t subscription_count_ = 0;
  std::unordered_map<std::string_view, std::uint32_t> by_filter_;  // keys: views of Slot::filter
};

}  // namespace iotcore::broker
