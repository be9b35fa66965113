#pragma once

#include "base/metrics.h"
#include "functions/instance.h"
#include "functions/invocation.h"
#include "functions/output_log.h"
#include "functions/site.h"

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace iotcore::functions {

// One function: its processes and what waits for them. A process is started when an event finds none that is idle, up to the concurrency; it is kept
// for further events until it has been idle for long, fails, or runs out of time. One thread, the loop's.
class FunctionPool final : public Instance::Owner {
 public:
  struct Waiting {
    Invocation invocation;
    OnAnswer done;
    TimerHandle patience;
    MonotonicTime until = MonotonicTime::max();  // when the patience is over
    std::uint64_t id = 0;
  };

  FunctionPool(Definition definition, const Site& site, net::EventLoop& loop, Metrics& metrics);
  ~FunctionPool() override;
  FunctionPool(const FunctionPool&) = delete;
  FunctionPool& operator=(const FunctionPool&) = delete;

  const Definition& definition() const { return definition_; }

  void invoke(Invocation invocation, OnAnswer done);

  // The definition is no longer: processes end when they have done what they are at. What waits is for the successor.
  std::deque<Waiting> retire();
  void adopt(std::deque<Waiting> waiting);

  // Nothing runs and nothing waits.
  bool is_empty() const { return instances_.empty() && waiting_.empty(); }

  bool is_at_work() const;
  // Whoever waits is told why, and all processes are killed.
  void abort(const Error& why);

 private:
  struct Slot {
    std::unique_ptr<Instance> instance;
    TimerHandle timer;  // starting: too long; idle: long enough
    // Of the event that it works on.
    bool is_at_work = false;
    OnAnswer done;  // empty: nobody waits any more
    TimerHandle deadline;
    TimerHandle patience;
    MonotonicTime since;
  };

  void on_idle(Instance& instance) override;
  void on_answer(Instance& instance, std::string payload, bool is_error) override;
  void on_ended(Instance& instance, std::string error, bool had_started) override;

  void dispatch();
  bool start();
  void hand_over(Slot& slot, Waiting waiting);
  void give_up_start(const std::string& error);
  void back_off();
  void wait(Waiting waiting);
  void finish(Slot& slot, Result<Answer> answer);
  void on_deadline(Instance& instance);
  void on_patience(std::uint64_t id);
  void fail_waiting(const Error& why);
  std::map<std::string, std::string> environment() const;
  Launch launch() const;
  Slot* slot_of(const Instance& instance);

  const Definition definition_;
  const Site& site_;
  net::EventLoop& loop_;
  OutputLog output_;
  std::deque<Waiting> waiting_;
  std::size_t waiting_bytes_ = 0;
  std::uint64_t next_id_ = 1;
  std::vector<std::unique_ptr<Slot>> instances_;
  bool is_retired_ = false;
  std::uint32_t failures_in_row_ = 0;  // ends of processes without an answer in between
  MonotonicTime start_not_before_ = {};
  TimerHandle start_again_;
  std::string last_start_error_;
  Counter& invocations_;
  Counter& errors_;
  Counter& timeouts_;
  Counter& throttles_;
  Counter& starts_;
  Gauge& processes_;
  Histogram& duration_;
};

}  // namespace iotcore::functions
