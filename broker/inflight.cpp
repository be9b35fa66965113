#include "broker/inflight.h"

#include <algorithm>

namespace iotcore::broker {

PacketId Inflight::open() {
  last_ = static_cast<std::uint16_t>(last_ + 1);
  if (last_ == 0) {
    last_ = 1;
  }
  if (begin_ == ids_.size()) {
    ids_.clear();
    begin_ = 0;
  } else if (begin_ > 64 && begin_ > ids_.size() / 2) {
    ids_.erase(ids_.begin(), ids_.begin() + begin_);
    begin_ = 0;
  }
  ids_.push_back(last_);
  ++open_;
  return static_cast<PacketId>(last_);
}

bool Inflight::acknowledge(PacketId id) {
  const auto number = static_cast<std::uint16_t>(id);
  const auto found = std::find(ids_.begin() + begin_, ids_.end(), number);
  if (number == 0 || found == ids_.end()) {
    return false;
  }
  *found = 0;
  --open_;
  while (begin_ < ids_.size() && ids_[begin_] == 0) {
    ++begin_;
  }
  return true;
}

}  // namespace iotcore::broker
