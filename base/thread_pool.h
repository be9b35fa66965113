#pragma once

#include "base/executor.h"
#include "base/function.h"

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace iotcore {

// A few threads for work that blocks. Tasks start in the order of their posting and run beside each
// other. The destructor runs what is queued, then joins.
class ThreadPool final : public Executor {
 public:
  // `name` is what the threads are called in tools: at most 15 characters.
  ThreadPool(const std::string& name, std::size_t threads);
  ~ThreadPool() override;
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  void post(Function<void()> task) override;

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable wakeup_;
  std::deque<Function<void()>> tasks_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace iotcore
