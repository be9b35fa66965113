#include "rules/rule_set.h"

#include "broker/quiescent.h"
#include "broker/reserved_topics.h"

#include <array>
#include <utility>

namespace iotcore::rules {

// The rules of one filter.
class RuleSet::Consumer final : public broker::MessageConsumer {
 public:
  Consumer(RuleExecutor& executor, broker::QuiescentDomain& quiescent)
      : executor_(executor), retired_(quiescent), rules_(new List()) {}

  ~Consumer() override { delete rules_.load(); }

  void on_message(broker::PublishContext& context) override {
    const List& rules = *rules_.load(std::memory_order_acquire);
    if (!rules.empty()) {
      executor_.execute(rules, context.publish().topic, context);
    }
  }

  // One at a time.
  void set(List rules) {
    const List* old = rules_.exchange(new List(std::move(rules)), std::memory_order_acq_rel);
    retired_.retire(const_cast<List*>(old), sizeof(List), [](void* list) {
      delete static_cast<List*>(list);
    });
    retired_.collect();
  }

 private:
  RuleExecutor& executor_;
  broker::RetireList retired_;
  std::atomic<const List*> rules_;
};

// Rules by name, in parts: a change makes one part anew, so that it costs little also among very many rules.
class RuleSet::BasicIngest final : public broker::MessageConsumer {
 public:
  BasicIngest(RuleExecutor& executor, broker::QuiescentDomain& quiescent)
      : executor_(executor), retired_(quiescent) {}

  ~BasicIngest() override {
    for (const auto& part : parts_) {
      delete part.load();
    }
  }

  void on_message(broker::PublishContext& context) override {
    const broker::BasicIngestTopic topic = broker::basic_ingest_topic(context.publish().topic);
    const ByName* const rules = part_of(topic.rule).load(std::memory_order_acquire);
    const auto found = rules == nullptr ? ByName::const_iterator() : rules->find(topic.rule);
    if (rules == nullptr || found == rules->end()) {
      executor_.rule_not_found(topic, context);
      return;
    }
    executor_.execute({&found->second, 1}, topic.topic, context);
  }

  // One at a time, as the next. Nullptr: it has gone.
  void set(std::string_view name, LiveRuleRef rule) {
    std::atomic<const ByName*>& part = part_of(name);
    const ByName* const old = part.load();
    auto changed = old == nullptr ? std::make_unique<ByName>() : std::make_unique<ByName>(*old);
    if (rule) {
      changed->insert_or_assign(std::string(name), std::move(rule));
    } else if (const auto found = changed->find(name); found != changed->end()) {
      changed->erase(found);
    }
    replace(part, std::move(changed));
  }

  void clear() {
    for (std::atomic<const ByName*>& part : parts_) {
      replace(part, nullptr);
    }
  }

 private:
  static constexpr std::size_t kParts = 256;

  std::atomic<const ByName*>& part_of(std::string_view name) {
    return parts_[std::hash<std::string_view>()(name) % kParts];
  }

  void replace(std::atomic<const ByName*>& part, std::unique_ptr<ByName> changed) {
    const ByName* const old = part.exchange(changed.release(), std::memory_order_acq_rel);
    if (old != nullptr) {
      retired_.retire(const_cast<ByName*>(old), sizeof(ByName), [](void* map) {
        delete static_cast<ByName*>(map);
      });
    }
    retired_.collect();
  }

  RuleExecutor& executor_;
  broker::RetireList retired_;
  std::array<std::atomic<const ByName*>, kParts> parts_ = {};
};

RuleSet::RuleSet(broker::Broker& broker, RuleExecutor& executor)
    : broker_(broker),
      executor_(executor),
      basic_ingest_(std::make_unique<BasicIngest>(executor, broker.quiescent())) {}

RuleSet::~RuleSet() {
  if (broker_.basic_ingest() == basic_ingest_.get()) {
    broker_.set_basic_ingest(nullptr);
  }
}

void RuleSet::start() {
  const std::lock_guard lock(mutex_);
  started_ = true;
  for (const auto& [name, rule] : by_name_) {
    basic_ingest_->set(name, rule);
  }
  broker_.set_basic_ingest(basic_ingest_.get());
  for (auto& [filter, entry] : by_filter_) {
    attach(filter, entry);
  }
}

void RuleSet::stop() {
  const std::lock_guard lock(mutex_);
  if (!std::exchange(started_, false)) {
    return;
  }
  basic_ingest_->clear();
  for (auto& [filter, entry] : by_filter_) {
    entry.consumer->set({});
    detach(entry);
  }
}

void RuleSet::attach(const std::string& filter, Filter& entry) {
  entry.consumer = std::make_shared<Consumer>(executor_, broker_.quiescent());
  entry.consumer->set(entry.rules);
  entry.id = broker_.add_consumer(filter, *entry.consumer);
}

void RuleSet::detach(Filter& entry) {
  // It goes when no worker can be in it any more.
  broker_.remove_consumer(entry.id, [consumer = std::move(entry.consumer)] {});
}

void RuleSet::put_at_filter(const LiveRuleRef& rule) {
  const std::optional<std::string>& filter = rule->rule->program.topic_filter();
  if (!filter) {
    return;
  }
  Filter& entry = by_filter_[*filter];
  entry.rules.push_back(rule);
  if (!started_) {
    return;
  }
  if (entry.consumer) {
    entry.consumer->set(entry.rules);
  } else {
    attach(*filter, entry);
  }
}

void RuleSet::remove_from_filter(const LiveRule& rule) {
  const std::optional<std::string>& filter = rule.rule->program.topic_filter();
  const auto found = filter ? by_filter_.find(*filter) : by_filter_.end();
  if (found == by_filter_.end()) {
    return;
  }
  Filter& entry = found->second;
  std::erase_if(entry.rules, [&rule](const LiveRuleRef& other) { return other.get() == &rule; });
  if (entry.consumer) {
    entry.consumer->set(entry.rules);
  }
  if (entry.rules.empty()) {
    if (entry.consumer) {
      detach(entry);
    }
    by_filter_.erase(found);
  }
}

void RuleSet::put(LiveRuleRef rule) {
  const std::lock_guard lock(mutex_);
  LiveRuleRef& slot = by_name_[rule->rule->definition.name];
  const LiveRuleRef old = std::exchange(slot, rule);
  if (old && old->rule->program.topic_filter() == rule->rule->program.topic_filter() &&
      rule->rule->program.topic_filter()) {
    // In one step, so that no message meets neither of them, nor both.
    Filter& entry = by_filter_[*rule->rule->program.topic_filter()];
    std::replace(entry.rules.begin(), entry.rules.end(), old, rule);
    if (entry.consumer) {
      entry.consumer->set(entry.rules);
    }
  } else {
    put_at_filter(rule);
    if (old) {
      remove_from_filter(*old);
    }
  }
  if (started_) {
    basic_ingest_->set(rule->rule->definition.name, rule);
  }
}

void RuleSet::remove(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) {
    return;
  }
  const LiveRuleRef rule = std::move(found->second);
  by_name_.erase(found);
  remove_from_filter(*rule);
  if (started_) {
    basic_ingest_->set(name, nullptr);
  }
}

LiveRuleRef RuleSet::find(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

}  // namespace iotcore::rules
