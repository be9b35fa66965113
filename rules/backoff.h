#pragma once

#include "base/bytes.h"
#include "base/clock.h"
#include "base/crypto.h"

#include <algorithm>
#include <cstdint>

namespace iotcore::rules {

// How long to wait after failures: doubling up to a bound, and anything below that, so that many who wait for one target do not knock in
// step.
class Backoff {
 public:
  Duration wait(Duration base, Duration max, std::uint32_t failures) {
    Duration most = base;
    for (std::uint32_t i = 1; i < failures && most < max && most.count() > 0; ++i) {
      most *= 2;
    }
    most = std::min(most, max);
    state_ ^= state_ << 13U;
    state_ ^= state_ >> 7U;
    state_ ^= state_ << 17U;
    return Duration(
        static_cast<std::int64_t>(state_ % (static_cast<std::uint64_t>(most.count()) + 1))
    );
  }

 private:
  std::uint64_t state_ = ByteReader(random_bytes(8)).u64() | 1;
};

}  // namespace iotcore::rules
