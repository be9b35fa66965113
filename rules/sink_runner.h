#pragma once

#include "base/clock.h"
#include "base/executor.h"
#include "base/thread_pool.h"
#include "base/timer_wheel.h"

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>

namespace iotcore::rules {

// Runs the work of sinks, which may block: at once, or at a time.
class SinkRunner : public Executor {
 public:
  virtual void post_at(MonotonicTime at, Function<void()> task) = 0;
};

// Threads for it. The destructor runs what is posted for now, drops what is for later, and joins.
class SinkThreads final : public SinkRunner {
 public:
  explicit SinkThreads(std::size_t threads);
  ~SinkThreads() override;

  void post(Function<void()> task) override;
  void post_at(MonotonicTime at, Function<void()> task) override;

 private:
  void run_timers();

  std::mutex mutex_;  // and what follows
  std::condition_variable changed_;
  TimerWheel timers_;
  bool stopping_ = false;

  ThreadPool pool_;
  std::thread timer_thread_;
};

}  // namespace iotcore::rules
