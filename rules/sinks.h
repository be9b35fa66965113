#pragma once

#include "base/clock.h"
#include "base/metrics.h"
#include "rules/delivery_options.h"
#include "rules/sink_queue.h"

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules {

// The queues, one for each sink, made when the first rule names it. They stay to the end: what waits in them has to go somewhere. Any thread.
class Sinks {
 public:
  Sinks(
      SinkEnvironment environment,
      Outbox& outbox,
      SinkRunner& runner,
      RecordEnds& ends,
      const Clock& clock,
      Metrics& metrics,
      std::size_t memory_bytes_max,
      std::size_t queue_bytes_max
  );

  // The queue of that sink, with the options that are given.
  Result<SinkQueue*> open(const std::string& sink, const DeliveryOptions& options);
  // Queues for what an earlier run has left; one whose kind is unknown now keeps its records, and one whose target is unknown waits for it.
  void resume(const std::vector<Outbox::Waiting>& waiting);
  // Sinks that deliver to one of these targets are made anew; if it has gone, what waits there fails.
  void targets_changed(const std::set<std::string, std::less<>>& names);
  // Every target that there is, is known from here on: what waits for others fails.
  void targets_known();
  // Queues deliver between these two.
  void start();
  void stop();
  std::vector<SinkQueue::State> states() const;
  void hurry();
  bool are_drained() const;

  const SinkEnvironment& environment() const { return environment_; }

  SpareRecords& spare_records() { return memory_.spare(); }

 private:
  SinkEnvironment environment_for(std::string_view sink) const;
  Result<std::unique_ptr<Sink>> made_for(const std::string& sink) const;
  Result<SinkQueue*> find_or_make(const std::string& sink);
  SinkQueue& make_queue(const std::string& sink, std::unique_ptr<Sink> made);

  const SinkEnvironment environment_;
  Outbox& outbox_;
  SinkRunner& runner_;
  RecordEnds& ends_;
  const Clock& clock_;
  Metrics& metrics_;
  const std::size_t queue_bytes_max_;
  MemoryBudget memory_;
  mutable std::mutex mutex_;  // and what follows
  bool started_ = false;
  bool targets_known_ = false;
  std::map<std::string, std::unique_ptr<SinkQueue>, std::less<>> queues_;
};

}  // namespace iotcore::rules
