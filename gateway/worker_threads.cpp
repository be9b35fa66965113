#include "gateway/worker_threads.h"

#include <algorithm>
#include <latch>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>

namespace iotcore::gateway {
namespace {

void name_this_thread(const std::string& name) {
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
}

// Output buffers exist for the length of a turn. By default glibc gives the top of its heap back to the system above 128 KiB of free memory, and a worker
// that fills and empties a few hundred buffers a turn spent half its time on page faults.
void keep_freed_memory() {
  constexpr int kTrimBytes = 64 << 20;
  constexpr int kMmapBytes = 1 << 20;  // set with the other, which else would freeze it at 128 KiB
  mallopt(M_TRIM_THRESHOLD, kTrimBytes);
  mallopt(M_MMAP_THRESHOLD, kMmapBytes);
}

}  // namespace

BlockingPool::BlockingPool(std::size_t threads) {
  threads_.reserve(threads);
  for (std::size_t i = 0; i < threads; ++i) {
    threads_.emplace_back([this, i] {
      name_this_thread("blocking-" + std::to_string(i));
      run();
    });
  }
}

void BlockingPool::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ready_.notify_all();
  for (std::thread& thread : threads_) {
    thread.join();
  }
  threads_.clear();
}

void BlockingPool::post(Function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  ready_.notify_one();
}

void BlockingPool::run() {
  while (true) {
    Function<void()> task;
    {
      std::unique_lock lock(mutex_);
      ready_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
      if (tasks_.empty()) {
        return;
      }
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

WorkerThreads::WorkerThreads(
    std::size_t worker_count, std::size_t blocking_threads, const Clock& clock
)
    : brokers_(worker_count, nullptr), blocking_(blocking_threads) {
  keep_freed_memory();
  for (std::size_t i = 0; i < worker_count; ++i) {
    loops_.push_back(std::make_unique<net::EventLoop>(clock));
  }
}

WorkerThreads::~WorkerThreads() {
  stop();
}

std::size_t WorkerThreads::default_worker_count() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
    return std::max(std::thread::hardware_concurrency(), 1U);
  }
  return static_cast<std::size_t>(std::max(CPU_COUNT(&allowed), 1));
}

void WorkerThreads::start() {
  for (std::size_t i = 0; i < loops_.size(); ++i) {
    threads_.emplace_back([this, i] {
      name_this_thread("worker-" + std::to_string(i));
      loops_[i]->run();
    });
  }
}

void WorkerThreads::run_on_each(const std::function<void(WorkerId)>& task) {
  std::latch done(static_cast<std::ptrdiff_t>(loops_.size()));
  for (std::size_t i = 0; i < loops_.size(); ++i) {
    loops_[i]->post([&task, &done, i] {
      task(static_cast<WorkerId>(i));
      done.count_down();
    });
  }
  done.wait();
}

void WorkerThreads::stop() {
  blocking_.stop();
  for (const auto& loop : loops_) {
    loop->stop();
  }
  for (std::thread& thread : threads_) {
    thread.join();
  }
  threads_.clear();
}

}  // namespace iotcore::gateway
