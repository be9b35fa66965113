#pragma once

#include "base/ids.h"

#include <cstdint>
#include <vector>

namespace iotcore::broker {

// Packet identifiers of what was sent at QoS 1 and is not acknowledged yet, in the order of sending. Pure.
class Inflight {
 public:
  std::size_t size() const { return open_; }

  // Whether another one may be sent: at most `window` open. An old identifier that the client never acknowledges does not let the
  // span between it and the newest grow without end either.
  bool has_room(std::size_t window) const {
    return open_ < window && ids_.size() - begin_ < 2 * window + 16;
  }

  // The next identifier, never 0, now open.
  PacketId open();
  // False if that identifier is not open.
  bool acknowledge(PacketId id);

 private:
  std::vector<std::uint16_t> ids_;  // from begin_; 0: acknowledged out of order
  std::uint32_t begin_ = 0;
  std::uint32_t open_ = 0;
  std::uint16_t last_ = 0;
};

}  // namespace iotcore::broker
