#pragma once

#include "base/metrics.h"
#include "base/thread_pool.h"
#include "broker/broker.h"
#include "rules/firing.h"
#include "rules/firings.h"
#include "rules/log_limit.h"
#include "rules/rule_set.h"
#include "rules/sql/environment.h"
#include "rules/sql/evaluation.h"
#include "store/store.h"

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace iotcore::rules {

// Evaluations that ask others, on threads that may wait. A message whose publisher is told when it is kept is in the store (an evaluation record) until
// everything that follows from it is. Messages of one client for one rule are evaluated in their order.
class DeferredRules {
 public:
  struct Options {
    std::size_t threads = 8;
    std::size_t waiting_max = 10'000;  // of one rule, in memory
    sql::EvaluationLimits limits;
  };

  struct Parts {
    broker::Broker& broker;
    Outbox& outbox;
    RuleSet& rules;
    Firings& firings;
    RuleTraces& traces;
    sql::ExternalFunctions& external;
    Metrics& metrics;
  };

  DeferredRules(Parts parts, Options options);
  ~DeferredRules();
  DeferredRules(const DeferredRules&) = delete;
  DeferredRules& operator=(const DeferredRules&) = delete;

  // What earlier runs have left. Blocks.
  Status load();
  void start();
  // What is in the store is left for the next run.
  void stop();

  // A message for a rule, on any thread. With a sequence it is in the store. Of a rule for which too many wait, the oldest that nobody was promised goes.
  struct Item {
    std::string rule;
    record::OutboxMessage message;
    bool is_promised = false;
    std::uint64_t sequence = 0;  // 0: in memory only
  };

  void push(Item item);
  // Keeps the acknowledgement back while too many wait.
  void hold_while_full(const std::string& rule, broker::PendingAck::Hold hold);
  // Writes the evaluation record.
  std::uint64_t put(store::Batch& batch, const Item& item);

 private:
  // The messages of some of a rule's clients, one at a time.
  using StrandKey = std::pair<std::string, std::size_t>;

  struct Strand {
    std::deque<Item> items;
    bool is_running = false;
  };

  struct Waiting {
    std::size_t count = 0;
    std::vector<broker::PendingAck::Hold> holds;
  };

  void run(const StrandKey& key);
  void evaluate(const Item& item);
  void finish(const Item& item, Firing& firing);
  void erase(const Item& item);
  void done_one(const std::string& rule);
  Status publish(const Firing& firing, const Item& item);
  Status publish_once(const broker::Message::Ref& message, const Item& item);
  bool wait_for_store();

  const Parts parts_;
  const Options options_;
  LogLimit log_limit_;
  Counter& refused_;
  Gauge& waiting_;
  std::atomic<std::uint64_t> next_sequence_ = 0;
  std::mutex mutex_;  // and what follows
  bool is_running_ = false;
  std::condition_variable stopping_;
  std::map<StrandKey, Strand> strands_;
  std::map<std::string, Waiting, std::less<>> by_rule_;
  std::unique_ptr<ThreadPool> threads_;
};

}  // namespace iotcore::rules
