#pragma once

#include "base/ids.h"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace iotcore::broker {

// The packet identifiers of the QoS 2 publishes that a client has sent and not released (MQTT5 4.3.3, method A: the message went on
// when it came, and only its identifier is kept). Pure.
class ReceivedIds {
 public:
  enum class State : std::uint8_t {
    kUnknown,
    kPending,   // what the publish leaves behind is not kept yet; PUBREC is due when it is
    kReceived,  // PUBREC has been sent
  };

  State state(PacketId id) const {
    const auto found = find(id);
    return found == ids_.end() ? State::kUnknown : found->state;
  }

  void add(PacketId id, State state) { ids_.push_back({id, state}); }

  void set_received(PacketId id) {
    if (const auto found = find(id); found != ids_.end()) {
      ids_[static_cast<std::size_t>(found - ids_.begin())].state = State::kReceived;
    }
  }

  // False if it is not known.
  bool remove(PacketId id) {
    const auto found = find(id);
    if (found == ids_.end()) {
      return false;
    }
    ids_.erase(found);
    return true;
  }

  std::size_t size() const { return ids_.size(); }

  bool empty() const { return ids_.empty(); }

 private:
  struct Entry {
    PacketId id;
    State state;
  };

  // They are released in the order in which they came, so it is among the first.
  std::vector<Entry>::const_iterator find(PacketId id) const {
    return std::find_if(ids_.begin(), ids_.end(), [id](const Entry& e) { return e.id == id; });
  }

  std::vector<Entry> ids_;
};

}  // namespace iotcore::broker
