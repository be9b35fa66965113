#pragma once

#include "base/ids.h"
#include "broker/message.h"

#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

namespace iotcore::broker {

// The messages that a client got as a member of shared subscriptions and has not acknowledged, in the order of sending: if it leaves, another
// member gets them. Pure.
class SharedUnacked {
 public:
  struct Entry {
    Message::Ref message;
    std::uint32_t slot = 0;  // of the shared subscription in the worker's table
  };

  void add(PacketId id, Entry entry) { entries_.emplace_back(id, std::move(entry)); }

  // Acknowledged: usually the first.
  void remove(PacketId id) {
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      if (entries_[i].first == id) {
        entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(i));
        return;
      }
    }
  }

  // The client has unsubscribed: what it has got by that stays with it.
  void forget(std::uint32_t slot) {
    std::erase_if(entries_, [slot](const auto& each) { return each.second.slot == slot; });
  }

  std::vector<Entry> take() {
    std::vector<Entry> all;
    for (auto& each : std::exchange(entries_, {})) {
      all.push_back(std::move(each.second));
    }
    return all;
  }

 private:
  std::deque<std::pair<PacketId, Entry>> entries_;
};

}  // namespace iotcore::broker
