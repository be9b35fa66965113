#pragma once

#include "broker/broker.h"
#include "broker/publish_context.h"
#include "broker/reserved_topics.h"
#include "rules/rule.h"
#include "rules/rule_metrics.h"
#include "rules/sink_queue.h"

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules {

// The queues of one action: one, or as many as its `concurrency` says, each for some of the keys.
class Lanes {
 public:
  Lanes(std::vector<SinkQueue*> queues, bool is_ordered)
      : queues_(std::move(queues)), is_ordered_(is_ordered) {}

  // `key()` is the action's ordering key, which is only asked for if it matters.
  template <typename Key>
  SinkQueue* of(const Key& key, std::string_view client_id) const {
    if (queues_.size() <= 1) {
      return queues_.empty() ? nullptr : queues_.front();
    }
    if (!is_ordered_) {
      return queues_[next_.fetch_add(1, std::memory_order_relaxed) % queues_.size()];
    }
    const auto own = key();
    const std::string_view by = own.empty() ? client_id : std::string_view(own);
    return queues_[std::hash<std::string_view>()(by) % queues_.size()];
  }

 private:
  std::vector<SinkQueue*> queues_;
  bool is_ordered_;
  mutable std::atomic<std::size_t> next_ = 0;
};

// A rule bound to the queues of its actions. Immutable.
struct LiveRule {
  std::shared_ptr<const Rule> rule;  // also of those who look it up
  std::deque<Lanes> lanes;           // of its actions; none for those that publish here
  SinkQueue* error_queue = nullptr;  // of its errorAction
  RuleMetrics* metrics = nullptr;
  bool is_strict = false;  // few attempts, as AWS's
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
  virtual void rule_not_found(
      const broker::BasicIngestTopic& topic, broker::PublishContext& context
  ) = 0;
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
