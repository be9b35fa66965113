#pragma once

#include "base/clock.h"
#include "base/function.h"

#include <cstdint>
#include <map>
#include <utility>

namespace iotcore {

// Names a timer until it has fired or been cancelled; the default one names none.
struct TimerHandle {
  std::uint64_t id = 0;
};

// Things to do at a time. One thread.
class TimerWheel {
 public:
  TimerHandle schedule(MonotonicTime at, Function<void()> task) {
    const std::pair key(at, ++last_id_);
    by_time_.emplace(key, std::move(task));
    times_.emplace(last_id_, at);
    return {last_id_};
  }

  // Nothing if it has fired.
  void cancel(TimerHandle handle) {
    const auto found = times_.find(handle.id);
    if (found != times_.end()) {
      by_time_.erase({found->second, handle.id});
      times_.erase(found);
    }
  }

  // Runs what is due, in the order of time.
  void advance(MonotonicTime now) {
    while (!by_time_.empty() && by_time_.begin()->first.first <= now) {
      auto due = by_time_.extract(by_time_.begin());
      times_.erase(due.key().second);
      due.mapped()();
    }
  }

  // When to call advance() next; MonotonicTime::max() if there is nothing to wait for.
  MonotonicTime next() const {
    return by_time_.empty() ? MonotonicTime::max() : by_time_.begin()->first.first;
  }

 private:
  std::map<std::pair<MonotonicTime, std::uint64_t>, Function<void()>> by_time_;
  std::map<std::uint64_t, MonotonicTime> times_;
  std::uint64_t last_id_ = 0;
};

}  // namespace iotcore
