#include "rules/sink_runner.h"

#include <chrono>
#include <utility>

namespace iotcore::rules {

SinkThreads::SinkThreads(std::size_t threads)
    : pool_("rule-sinks", threads), timer_thread_([this] { run_timers(); }) {}

SinkThreads::~SinkThreads() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  timer_thread_.join();
}

void SinkThreads::post(Function<void()> task) {
  pool_.post(std::move(task));
}

void SinkThreads::post_at(MonotonicTime at, Function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    timers_.schedule(at, [this, task = std::move(task)]() mutable { pool_.post(std::move(task)); });
  }
  changed_.notify_one();
}

void SinkThreads::run_timers() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    // What is due is posted, not run here: posting is all that happens under the lock.
    timers_.advance(SystemClock().now());
    const MonotonicTime next = timers_.next();
    if (next == MonotonicTime::max()) {
      changed_.wait(lock);
    } else {
      changed_.wait_until(lock, next);
    }
  }
}

}  // namespace iotcore::rules
