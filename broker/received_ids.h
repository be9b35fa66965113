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
    const auto found = std::lower_bound(ids_.begin(), ids_.end(), id, &ReceivedIds::is_before);
    return found == ids_.end() || found->id != id ? State::kUnknown : found->state;
  }

  // It is not known yet.
  void add(PacketId id, State state) {
    ids_.insert(
        std::lower_bound(ids_.begin(), ids_.end(), id, &ReceivedIds::is_before), {id, state}
    );
  }

  void set_received(PacketId id) {
    if (const auto found = find(id); found != ids_.end()) {
      found->state = State::kReceived;
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

  static bool is_before(const Entry& entry, PacketId id) { return entry.id < id; }

  std::vector<Entry>::iterator find(PacketId id) {
    const auto found = std::lower_bound(ids_.begin(), ids_.end(), id, &ReceivedIds::is_before);
    return found == ids_.end() || found->id != id ? ids_.end() : found;
  }

  std::vector<Entry> ids_;  // rising: a 3.1.1 client may leave 65,535 of them unreleased
};

}  // namespace iotcore::broker
