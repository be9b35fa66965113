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

// The way to a runner for those who may come too late: the store completes commits when it likes. Any thread.
class RunnerGate {
 public:
  explicit RunnerGate(SinkRunner& runner) : runner_(&runner) {}

  // Once closed, tasks are dropped.
  void post(Function<void()> task) {
    const std::lock_guard lock(mutex_);
    if (runner_ != nullptr) {
      runner_->post(std::move(task));
    }
  }

  void close() {
    const std::lock_guard lock(mutex_);
    runner_ = nullptr;
  }

 private:
  std::mutex mutex_;  // and what follows
  SinkRunner* runner_;
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
