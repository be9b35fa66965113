#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace iotcore {

using Duration = std::chrono::nanoseconds;

// Monotonic time, of no calendar: deadlines and intervals.
using MonotonicTime = std::chrono::time_point<std::chrono::steady_clock, Duration>;
// Calendar time: what is shown, stored and sent.
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

inline std::int64_t to_epoch_ms(WallTime t) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(t.time_since_epoch()).count();
}
inline std::int64_t to_epoch_s(WallTime t) {
  return std::chrono::duration_cast<std::chrono::seconds>(t.time_since_epoch()).count();
}
inline WallTime from_epoch_ms(std::int64_t ms) { return WallTime(std::chrono::milliseconds(ms)); }

// Where time comes from. Any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual MonotonicTime now() const = 0;
  virtual WallTime wall() const = 0;
};

class SystemClock final : public Clock {
 public:
  MonotonicTime now() const override { return std::chrono::steady_clock::now(); }
  WallTime wall() const override { return std::chrono::system_clock::now(); }
};

// Stands still until told otherwise: tests.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(WallTime start = from_epoch_ms(1'700'000'000'000)) : wall_(start) {}

  MonotonicTime now() const override { return MonotonicTime(Duration(elapsed_.load())); }
  WallTime wall() const override { return wall_ + Duration(elapsed_.load()); }
  void advance(Duration by) { elapsed_ += by.count(); }

 private:
  WallTime wall_;
  std::atomic<std::int64_t> elapsed_ = 0;
};

}  // namespace iotcore
