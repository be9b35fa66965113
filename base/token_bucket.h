#pragma once

#include "base/clock.h"

#include <algorithm>
#include <cstdint>

namespace iotcore {

// A limit, shared by all buckets that it holds for.
struct TokenRate {
  std::uint64_t tokens_per_s = 0;  // 0: no limit
  std::uint64_t burst = 0;         // what a bucket holds

  Duration cost(std::uint64_t tokens) const {
    constexpr std::uint64_t kNanoseconds = 1'000'000'000;
    const std::uint64_t seconds = tokens / tokens_per_s;
    const std::uint64_t rest = tokens % tokens_per_s;
    const auto part = static_cast<std::uint64_t>(
        static_cast<double>(rest) * static_cast<double>(kNanoseconds) /
        static_cast<double>(tokens_per_s)
    );
    return Duration(static_cast<std::int64_t>(seconds * kNanoseconds + part));
  }
};

// How much of a limit is used up: one time stamp, the one at which the bucket will be full again.
// Begins full. One thread.
class TokenBucket {
 public:
  // Takes the tokens if they are there, else none. More than the burst are never there.
  bool take(const TokenRate& rate, MonotonicTime now, std::uint64_t tokens = 1) {
    if (ready_at(rate, tokens) > now) {
      return false;
    }
    spend(rate, now, tokens);
    return true;
  }

  // Takes the tokens, there or not: for what has been received already. The debt is paid before the
  // next take().
  void spend(const TokenRate& rate, MonotonicTime now, std::uint64_t tokens) {
    if (rate.tokens_per_s != 0) {
      full_at_ = std::max(full_at_, now) + rate.cost(tokens);
    }
  }

  // When so many tokens will be there, if none are taken before.
  MonotonicTime ready_at(const TokenRate& rate, std::uint64_t tokens = 1) const {
    if (rate.tokens_per_s == 0) {
      return MonotonicTime::min();
    }
    if (tokens > rate.burst) {
      return MonotonicTime::max();
    }
    return full_at_ == MonotonicTime::min() ? full_at_ : full_at_ - rate.cost(rate.burst - tokens);
  }

 private:
  MonotonicTime full_at_ = MonotonicTime::min();
};

}  // namespace iotcore
