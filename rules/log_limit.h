#pragma once

#include "base/clock.h"

#include <atomic>
#include <cstdint>

namespace iotcore::rules {

// Lets a few lines a second into the log of what a device can cause as often as it likes; metrics count the rest. Any thread.
class LogLimit {
 public:
  explicit LogLimit(const Clock& clock) : clock_(clock) {}

  bool allows() {
    const std::int64_t second = to_epoch_s(clock_.wall());
    if (second_.exchange(second, std::memory_order_relaxed) != second) {
      lines_.store(0, std::memory_order_relaxed);
    }
    return lines_.fetch_add(1, std::memory_order_relaxed) < kLinesPerSecond;
  }

 private:
  static constexpr std::uint32_t kLinesPerSecond = 10;

  const Clock& clock_;
  std::atomic<std::int64_t> second_ = 0;
  std::atomic<std::uint32_t> lines_ = 0;
};

}  // namespace iotcore::rules
