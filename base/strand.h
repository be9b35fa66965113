#pragma once

#include "base/executor.h"
#include "base/function.h"

#include <atomic>
#include <cstddef>
#include <deque>
#include <mutex>

namespace iotcore {

// Runs tasks on an executor of several threads one after the other, in the order of their posting.
class Strand final : public Executor {
 public:
  // `on` has come to rest before this is destroyed.
  explicit Strand(Executor& on) : on_(on) {}

  Strand(const Strand&) = delete;
  Strand& operator=(const Strand&) = delete;

  void post(Function<void()> task) override;

  // Everything that was posted has run. Who sees this sees what the tasks have done.
  bool idle() const { return unfinished_.load(std::memory_order_acquire) == 0; }

 private:
  void run_next();

  Executor& on_;
  std::atomic<std::size_t> unfinished_ = 0;
  std::mutex mutex_;
  std::deque<Function<void()>> tasks_;
  bool running_ = false;
};

}  // namespace iotcore
