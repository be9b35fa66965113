#pragma once

#include "broker/broker.h"
#include "broker/publish_context.h"
#include "rules/rule.h"
#include "rules/rule_metrics.h"
#include "rules/sink_queue.h"

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules {

// A rule bound to the queues of its actions. Immutable.
struct LiveRule {
  std::shared_ptr<const Rule> rule;  // also of those who look it up
  std::vector<SinkQueue*> queues;    // of its actions
  SinkQueue* error_queue = nullptr;  // of its errorAction
  RuleMetrics* metrics = nullptr;
};

using LiveRuleRef =
    std::shared_ptr<const LiveRule>;  // shared by the lists of workers and those who look it up

// Runs rules for a message, on the publisher's worker.
class RuleExecutor {
 public:
  virtual ~RuleExecutor() = default;
  virtual void execute(
      std::span<const LiveRuleRef> rules, std::string_view topic, broker::PublishContext& context
  ) = 0;
  // Basic Ingest named a rule that is not there, or is disabled.
  virtual void rule_not_found(std::string_view name) = 0;
};

// The enabled rules, found by the topic of a message or by name. Workers read without a lock: what they see is immutable and replaced as a
// whole, and lives until each of them has been quiescent. A change holds for every publish that starts after the call has returned.
class RuleSet {
 public:
  RuleSet(broker::Broker& broker, RuleExecutor& executor);
  ~RuleSet();
  RuleSet(const RuleSet&) = delete;
  RuleSet& operator=(const RuleSet&) = delete;

  // Any thread.
  void put(LiveRuleRef rule);
  void remove(std::string_view name);
  LiveRuleRef find(std::string_view name) const;
  // From here on messages come.
  void start();
  // No more messages from here on, except those under way.
  void stop();

 private:
  class Consumer;
  class BasicIngest;
  using List = std::vector<LiveRuleRef>;
  using ByName = std::map<std::string, LiveRuleRef, std::less<>>;

  struct Filter {
    std::shared_ptr<Consumer> consumer;  // also of the broker's removal, until no worker is in it
    broker::ConsumerId id = {};
    List rules;
  };

  void put_at_filter(const LiveRuleRef& rule);
  void remove_from_filter(const LiveRule& rule);
  void attach(const std::string& filter, Filter& entry);
  void detach(Filter& entry);

  broker::Broker& broker_;
  RuleExecutor& executor_;
  std::unique_ptr<BasicIngest> basic_ingest_;
  mutable std::mutex mutex_;  // and what follows
  bool started_ = false;
  ByName by_name_;
  std::map<std::string, Filter, std::less<>> by_filter_;
};

}  // namespace iotcore::rules
