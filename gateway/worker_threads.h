#pragma once

#include "base/clock.h"
#include "broker/workers.h"
#include "net/event_loop.h"

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace iotcore::gateway {

// The order of end-of-turn hooks on a worker: what produces output comes before what writes it.
namespace turn_order {
inline constexpr int kBroker = 100;  // mailboxes to other workers, the turn's commit
inline constexpr int kFlush = 200;   // each connection with output is written once
inline constexpr int kReport = 300;  // quiescent states, statistics
}  // namespace turn_order

// Threads for work that blocks. Tasks start in the order of posting.
class BlockingPool final : public Executor {
 public:
  explicit BlockingPool(std::size_t threads);

  ~BlockingPool() override { stop(); }

  // Runs what is posted, and what that posts, then joins; further calls do nothing. What others post later is never run.
  void stop();

  void post(Function<void()> task) override;

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Function<void()>> tasks_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

// The worker threads, one event loop each, and the pool for blocking work. Set up on one thread before start(): hooks, timers and handlers may be
// added to loops until then, afterwards only by tasks posted to them.
class WorkerThreads final : public broker::Workers {
 public:
  WorkerThreads(std::size_t worker_count, std::size_t blocking_threads, const Clock& clock);
  ~WorkerThreads() override;

  // The processors that this process may use.
  static std::size_t default_worker_count();

  std::size_t count() const override { return loops_.size(); }

  net::EventLoop& loop(WorkerId id) { return *loops_[index(id)]; }

  Executor& executor(WorkerId id) override { return loop(id); }

  broker::WorkerBroker& broker(WorkerId id) override { return *brokers_[index(id)]; }

  Executor& blocking() override { return blocking_; }

  // Before start(). The worker's broker outlives the threads.
  void set_broker(WorkerId id, broker::WorkerBroker& broker) { brokers_[index(id)] = &broker; }

  void start();
  // Runs `task` on every worker and waits until all have. Not on a worker. After start().
  void run_on_each(const std::function<void(WorkerId)>& task);
  // Joins the threads; blocking work first, so that its answers still find loops. Also without start(); further calls do nothing.
  void stop();

 private:
  std::vector<std::unique_ptr<net::EventLoop>> loops_;
  std::vector<broker::WorkerBroker*> brokers_;
  std::vector<std::thread> threads_;
  BlockingPool blocking_;
};

}  // namespace iotcore::gateway
