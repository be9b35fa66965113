#include "rules/deferred_rules.h"

#include "base/log.h"
#include "broker/worker_broker.h"
#include "rules/keys.h"
#include "rules/message_source.h"
#include "rules/rule_log.h"

#include <functional>
#include <future>

namespace iotcore::rules {
namespace {

constexpr std::size_t kStrandsPerRule = 16;
constexpr std::chrono::seconds kRetry(1);

void log_publish_failed(const std::string& rule, const Error& error) {
  log(LogLevel::kError,
      "action.failed",
      {{"eventType", kRuleExecution},
       {"status", "Failure"},
       {"ruleName", rule},
       {"ruleAction", "republish"},
       {"error", error.message()}});
}

}  // namespace

DeferredRules::DeferredRules(Parts parts, Options options)
    : parts_(parts),
      options_(options),
      log_limit_(parts.broker.clock()),
      refused_(parts.metrics.counter(
          "iotcore_rule_deferred_refused_total",
          "Messages dropped because too many waited for a rule that asks others"
      )),
      waiting_(parts.metrics.gauge(
          "iotcore_rule_deferred_waiting", "Messages that wait for rules that ask others"
      )) {}

DeferredRules::~DeferredRules() {
  stop();
}

Status DeferredRules::load() {
  next_sequence_ = parts_.outbox.first_sequence();
  std::string from;
  constexpr std::size_t kPage = 1000;
  for (;;) {
    IOTCORE_ASSIGN(
        const std::vector<store::Entry> page,
        parts_.outbox.store().scan(keys::kOutbox, keys::evaluations(), from, kPage)
    );
    for (const store::Entry& entry : page) {
      store::KeyReader key(entry.key);
      key.kind();
      record::OutboxEvaluation row;
      if (!row.ParseFromString(entry.value)) {
        log(LogLevel::kError, "outbox.record_damaged", {{"what", "an evaluation"}});
        continue;
      }
      push({row.rule(), row.message(), true, key.u64().value_or(0)});
    }
    if (page.size() < kPage) {
      return {};
    }
    from = store::key_after(page.back().key);
  }
}

void DeferredRules::start() {
  const std::lock_guard lock(mutex_);
  is_running_ = true;
  threads_ = std::make_unique<ThreadPool>("rules-deferred", options_.threads);
  for (auto& [key, strand] : strands_) {
    strand.is_running = true;
    threads_->post([this, key = key] { run(key); });
  }
}

void DeferredRules::stop() {
  std::unique_ptr<ThreadPool> threads;
  {
    const std::lock_guard lock(mutex_);
    is_running_ = false;
    threads = std::move(threads_);
  }
  stopping_.notify_all();
  threads.reset();  // each strand ends after the message it is at
  const std::lock_guard lock(mutex_);
  by_rule_.clear();
}

std::uint64_t DeferredRules::put(store::Batch& batch, const Item& item) {
  record::OutboxEvaluation row;
  row.set_rule(item.rule);
  *row.mutable_message() = item.message;
  const std::uint64_t sequence = next_sequence_.fetch_add(1);
  batch.put(keys::kOutbox, keys::evaluation(sequence), row.SerializeAsString());
  return sequence;
}

void DeferredRules::push(Item item) {
  const std::size_t strand_of_client =
      std::hash<std::string>()(item.message.client_id()) % kStrandsPerRule;
  const StrandKey key(item.rule, strand_of_client);
  const std::lock_guard lock(mutex_);
  Waiting& waiting = by_rule_[item.rule];
  Strand& strand = strands_[key];
  if (waiting.count >= options_.waiting_max && item.sequence == 0) {
    refused_.add_shared();
    if (const LiveRuleRef live = parts_.rules.find(item.rule)) {
      live->metrics->throttled();
    }
    if (log_limit_.allows()) {
      MessageSource source;
      source.read(item.message, parts_.broker.options().account);
      log_rule_event(
          LogLevel::kWarn,
          "rule.throttled",
          kRuleMessageThrottled,
          source.view(),
          item.rule,
          "too many messages wait for it"
      );
    }
    const auto oldest = std::ranges::find(strand.items, std::uint64_t{0}, &Item::sequence);
    if (oldest == strand.items.end()) {
      return;
    }
    strand.items.erase(oldest);
    --waiting.count;
    waiting_.add(-1);
  }
  strand.items.push_back(std::move(item));
  ++waiting.count;
  waiting_.add(1);
  if (is_running_ && !std::exchange(strand.is_running, true)) {
    threads_->post([this, key] { run(key); });
  }
}

void DeferredRules::hold_while_full(const std::string& rule, broker::PendingAck::Hold hold) {
  {
    const std::lock_guard lock(mutex_);
    Waiting& waiting = by_rule_[rule];
    if (hold && waiting.count >= options_.waiting_max) {
      waiting.holds.push_back(std::move(hold));
      return;
    }
  }
  hold.release();
}

void DeferredRules::done_one(const std::string& rule) {
  std::vector<broker::PendingAck::Hold> released;
  {
    const std::lock_guard lock(mutex_);
    waiting_.add(-1);
    Waiting& waiting = by_rule_[rule];
    if (--waiting.count <= options_.waiting_max / 2) {
      released.swap(waiting.holds);
    }
  }
  for (broker::PendingAck::Hold& hold : released) {
    hold.release();
  }
}

void DeferredRules::run(const StrandKey& key) {
  Item item;
  {
    const std::lock_guard lock(mutex_);
    Strand& strand = strands_[key];
    if (strand.items.empty() || !is_running_) {
      strand.is_running = false;
      if (strand.items.empty()) {
        strands_.erase(key);
      }
      return;
    }
    item = std::move(strand.items.front());
    strand.items.pop_front();
  }
  evaluate(item);
  done_one(item.rule);
  const std::lock_guard lock(mutex_);
  if (is_running_) {
    threads_->post([this, key] { run(key); });  // others want a turn
  } else {
    strands_[key].is_running = false;
  }
}

void DeferredRules::evaluate(const Item& item) {
  const LiveRuleRef live = parts_.rules.find(item.rule);
  if (live == nullptr) {
    erase(item);  // deleted or disabled meanwhile
    return;
  }
  MessageSource source;
  source.read(item.message, parts_.broker.options().account);
  std::optional<TraceEvent> trace =
      parts_.traces.begin(item.rule, source.view(), item.message.payload());
  sql::ParsedPayload payload(item.message.payload());
  sql::SystemRandom random;
  sql::Evaluation evaluation(
      live->rule->program, source.view(), payload, parts_.external, random, options_.limits
  );
  evaluation.set_withholding(!live->rule->publishes());
  const Result<std::optional<sql::Output>> output = evaluation.run();
  if (!output) {
    live->metrics->failed(output.error().name());
    if (log_limit_.allows()) {
      log_rule_event(
          LogLevel::kWarn,
          "rule.failed",
          kFunctionExecution,
          source.view(),
          item.rule,
          output.error().message()
      );
    }
  }
  if (!output || !*output) {
    parts_.traces.end(item.rule, std::move(trace), output, evaluation.secret_mark());
    erase(item);
    return;
  }
  live->metrics->fired_elsewhere();
  Firing firing(
      *live,
      {source.view(), static_cast<std::uint8_t>(item.message.hops()), item.is_promised},
      trace ? &*trace : nullptr
  );
  firing.resolve({evaluation, (*output)->view(), (*output)->is_json()});
  parts_.traces.end(item.rule, std::move(trace), output, evaluation.secret_mark());
  finish(item, firing);
}

// A message that was promised is published until it is kept: the others of its client wait behind it.
Status DeferredRules::publish(const Firing& firing, const Item& item) {
  for (const Firing::Publish& made : firing.publishes) {
    Status kept = publish_once(made.message, item);
    // One that was delivered and only not retained (kQuotaExceeded) would not be the next time either.
    while (!kept && kept.error().code() != Errc::kQuotaExceeded) {
      if (item.sequence == 0 || !wait_for_store()) {
        return kept;
      }
      kept = publish_once(made.message, item);
    }
    if (!kept) {
      log_publish_failed(item.rule, kept.error());
    }
  }
  return {};
}

// Until commits succeed again, as far as is known: each try before that would reach whoever is there now once more. False: there is no time for that.
bool DeferredRules::wait_for_store() {
  do {
    std::unique_lock lock(mutex_);
    if (stopping_.wait_for(lock, kRetry, [this] { return !is_running_; })) {
      return false;
    }
  } while (parts_.outbox.store().health().failure);
  return true;
}

Status DeferredRules::publish_once(const broker::Message::Ref& message, const Item& item) {
  broker::OwnedPublish publish;
  publish.message = message;
  publish.source_ip = item.message.source_ip();
  auto done = std::make_shared<std::promise<Status>>();  // also of a broker that never answers
  std::future<Status> answer = done->get_future();
  parts_.broker.publish(std::move(publish), [done](const Result<std::uint32_t>& receivers) {
    done->set_value(receivers ? Status() : Status(fail(receivers.error())));
  });
  constexpr std::chrono::seconds kPatience(10);
  if (answer.wait_for(kPatience) != std::future_status::ready) {
    return fail(Errc::kTimeout, "the publish was not kept in time");
  }
  return answer.get();
}

void DeferredRules::finish(const Item& item, Firing& firing) {
  const Status published = publish(firing, item);
  if (!published) {
    log_publish_failed(item.rule, published.error());
  }
  if (firing.has_error_action() && !firing.in_memory.empty()) {
    firing.connect_in_memory(item.message);
  }
  store::Batch batch;
  // What was promised and could not be published before the end of this run: all of it is evaluated and told again by the next.
  if (item.sequence != 0 && published) {
    batch.erase(keys::kOutbox, keys::evaluation(item.sequence));
  }
  firing.write(batch, item.message);
  Function<void()> after;
  if (!firing.failures.empty() && firing.has_error_action() && firing.durable.empty()) {
    const FailedMessage failed{item.message, std::move(firing.failures)};
    after = parts_.firings.fire_error_action(
        item.rule, std::span(&failed, 1), item.sequence != 0 ? &batch : nullptr
    );
  }
  if (firing.durable.empty() && !after) {
    // Nothing waits for the evaluation to be gone: if it is not, what has been published is published again.
    if (!batch.empty()) {
      parts_.outbox.store().commit(std::move(batch), nullptr, nullptr);
    }
  } else if (!batch.empty()) {
    if (const Result<store::Revision> kept = parts_.outbox.store().commit_wait(std::move(batch));
        !kept) {
      // Delivered from memory; the evaluation record is still there, and is evaluated again at the next start.
      log(LogLevel::kError,
          "rule.not_kept",
          {{"rule", item.rule}, {"error", kept.error().message()}});
      for (Prepared& prepared : firing.durable) {
        prepared.record->sequence = 0;
        prepared.record->message_id.clear();
      }
    }
  }
  for (std::vector<Prepared>* all : {&firing.durable, &firing.in_memory}) {
    for (Prepared& prepared : *all) {
      prepared.queue->push(std::move(prepared.record));
    }
  }
  if (after) {
    after();
  }
}

void DeferredRules::erase(const Item& item) {
  if (item.sequence == 0) {
    return;
  }
  store::Batch batch;
  batch.erase(keys::kOutbox, keys::evaluation(item.sequence));
  parts_.outbox.store().commit(std::move(batch), nullptr, nullptr);
}

}  // namespace iotcore::rules
