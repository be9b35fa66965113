#pragma once

#include "base/clock.h"

#include <algorithm>
#include <cstdint>

namespace iotcore {

// A rate with a burst, of one second's worth if not said otherwise (the generic cell rate algorithm): one time instead of a bucket of tokens. Pure.
class RateLimit {
 public:
  static constexpr Duration kSecond = std::chrono::seconds(1);

  // Takes `amount` out of `per_second`. How long to wait until the rate is kept again; zero if it is.
  Duration take(MonotonicTime now, std::uint64_t amount, std::uint64_t per_second) {
    full_at_ = std::max(full_at_, now) + cost(amount, per_second);
    return std::max(full_at_ - now - kSecond, Duration::zero());
  }

  // The same, but nothing is taken where the rate would not be kept: false then.
  bool try_take(
      MonotonicTime now, std::uint64_t amount, std::uint64_t per_second, Duration burst = kSecond
  ) {
    const MonotonicTime after = std::max(full_at_, now) + cost(amount, per_second);
    if (after - now > burst) {
      return false;
    }
    full_at_ = after;
    return true;
  }

  // Whether the whole burst is there.
  bool is_idle(MonotonicTime now) const { return full_at_ <= now; }

 private:
  static Duration cost(std::uint64_t amount, std::uint64_t per_second) {
    return Duration(static_cast<std::int64_t>(
        static_cast<double>(amount) * 1e9 / static_cast<double>(per_second)
    ));
  }

  MonotonicTime full_at_ = {};  // when the whole burst is there again
};

}  // namespace iotcore
