#include "rules/firings.h"

#include "base/json.h"
#include "base/log.h"
#include "rules/keys.h"
#include "rules/message_source.h"
#include "rules/rule_log.h"
#include "rules/sql/withheld.h"

#include <algorithm>
#include <cctype>
#include <utility>

namespace iotcore::rules {
namespace {

std::string_view name_of(RecordEnd::Cause cause) {
  switch (cause) {
    case RecordEnd::Cause::kRefused:
      return "refused";
    case RecordEnd::Cause::kGaveUp:
      return "gave_up";
    case RecordEnd::Cause::kQueueFull:
      return "queue_full";
    case RecordEnd::Cause::kTargetGone:
      return "target_gone";
  }
  return "";
}

bool is_lane_of(std::string_view lane, std::string_view sink) {
  return kind_name_of_sink(lane) == kind_name_of_sink(sink) &&
         target_of_sink_id(lane) == target_of_sink_id(sink);
}

record::ActionFailure::Batching to_row(Batching batching) {
  switch (batching) {
    case Batching::kNone:
      break;
    case Batching::kByTopic:
      return record::ActionFailure::BY_TOPIC;
    case Batching::kAcrossTopics:
      return record::ActionFailure::ACROSS_TOPICS;
  }
  return record::ActionFailure::NONE;
}

// Others may have gone out with it, and are told with it.
bool is_of_batch(const Record& record, const FailedMessage& failed) {
  return record.request != 0 &&
         std::ranges::any_of(failed.failures, [](const record::ActionFailure& failure) {
           return failure.batching() != record::ActionFailure::NONE;
         });
}

Result<std::optional<record::OutboxMessage>> read_message(
    store::Store& store, std::string_view key
) {
  IOTCORE_ASSIGN(const std::optional<store::Row> found, store.get(keys::kOutbox, key));
  if (!found) {
    return std::nullopt;
  }
  record::OutboxMessage message;
  if (!message.ParseFromString(found->value)) {
    return fail(Errc::kStoreCorrupt, "a row of the outbox cannot be read");
  }
  return message;
}

void erase_firing(
    store::Batch& batch,
    std::string_view message_id,
    std::string_view rule,
    std::uint32_t actions_mask
) {
  batch.erase(keys::kOutbox, keys::firing(message_id, rule));
  const std::uint32_t actions = actions_mask & ~kHasFailures;
  for (std::uint64_t action = 0; actions >> action != 0; ++action) {
    if ((actions >> action & 1U) != 0) {
      batch.erase(keys::kOutbox, keys::firing_end(message_id, rule, action));
    }
  }
}

void merge(record::OutboxFiring& state, const record::OutboxFiring& other) {
  state.set_open_mask(state.open_mask() & other.open_mask());
  state.mutable_failures()->MergeFrom(other.failures());
}

// As far as the store shows it.
record::OutboxFiring read_firing(store::Store& store, const Record& record) {
  constexpr std::size_t kRowsMax = 64;  // one for each action, and one more
  record::OutboxFiring state;
  state.set_open_mask(record.actions_mask & ~kHasFailures);
  const auto rows =
      store.scan(keys::kOutbox, keys::firing(record.message_id, record.rule), "", kRowsMax);
  if (!rows) {
    return state;
  }
  for (const store::Entry& entry : *rows) {
    record::OutboxFiring row;
    if (row.ParseFromString(entry.value)) {
      merge(state, row);
    }
  }
  return state;
}

}  // namespace

void MemoryFiring::add_failure(record::ActionFailure failure) {
  const std::lock_guard lock(mutex_);
  failures_.push_back(std::move(failure));
}

bool MemoryFiring::end_one() {
  const std::lock_guard lock(mutex_);
  return --open_ == 0;
}

std::vector<record::ActionFailure> MemoryFiring::take_failures() {
  const std::lock_guard lock(mutex_);
  return std::exchange(failures_, {});
}

Firings::Firings(
    Outbox& outbox, DeadLetters& dead_letters, RuleMetricsTable& metrics, const Clock& clock
)
    : outbox_(outbox),
      dead_letters_(dead_letters),
      metrics_(metrics),
      clock_(clock),
      log_limit_(clock) {}

void Firings::connect(
    RuleSet& rules, sql::ExternalFunctions& external, std::string account, SinkRunner& runner
) {
  runner_ = &runner;
  rules_ = &rules;
  external_ = &external;
  account_ = std::move(account);
}

record::ActionFailure Firings::failure_of(
    const std::string& sink, const Record& record, const std::string& reason
) const {
  record::ActionFailure failure;
  const LiveRuleRef live = rules_->find(record.rule);
  const RuleAction* action = live ? live->rule->action(record.action) : nullptr;
  if (action != nullptr && is_lane_of(sink, action->sink)) {
    failure.set_action(action->label);
    failure.set_resource(
        sql::show_withheld(action->action->resource(record.fields), record.secret_mark)
    );
    failure.set_batching(to_row(action->action->batching()));
  } else {
    failure.set_action(std::string(kind_name_of_sink(sink)));
    failure.set_resource(std::string(target_of_sink_id(sink)));
  }
  failure.set_message(reason);
  return failure;
}

void Firings::count(const std::string& sink, const Record& record, const RecordEnd& end) {
  if (end.kind == RecordEnd::Kind::kDropped && record.action != Record::kErrorAction) {
    return;
  }
  RuleMetrics& metrics = metrics_.of(record.rule);
  const bool delivered = end.kind == RecordEnd::Kind::kDelivered;
  if (record.action == Record::kErrorAction) {
    metrics.error_action_ended(delivered);
  } else if (delivered) {
    const std::int64_t took_ms = to_epoch_ms(clock_.wall()) - record.received_ms;
    metrics.action_succeeded(
        {kind_name_of_sink(sink), target_of_sink_id(sink)}, static_cast<double>(took_ms) / 1000
    );
  } else {
    metrics.action_failed({kind_name_of_sink(sink), target_of_sink_id(sink)}, name_of(end.cause));
  }
  if (end.kind == RecordEnd::Kind::kFailed && log_limit_.allows()) {
    log_action(
        LogLevel::kWarn,
        "action.failed",
        record,
        kind_name_of_sink(sink),
        target_of_sink_id(sink),
        end.reason
    );
  }
}

void Firings::on_delivered(
    const std::string& sink, std::span<const std::unique_ptr<Record>> records
) {
  const std::int64_t now_ms = to_epoch_ms(clock_.wall());
  const RuleMetrics::ActionName action = {kind_name_of_sink(sink), target_of_sink_id(sink)};
  if (log_enabled(LogLevel::kDebug)) [[unlikely]] {
    for (const std::unique_ptr<Record>& record : records) {
      log_action(LogLevel::kDebug, "action.delivered", *record, action.kind, action.target);
    }
  }
  std::vector<double> took_s;
  for (std::size_t i = 0; i < records.size();) {
    const Record& first = *records[i];
    took_s.clear();
    for (;
         i < records.size() && records[i]->rule == first.rule && records[i]->action == first.action;
         ++i) {
      took_s.push_back(static_cast<double>(now_ms - records[i]->received_ms) / 1000);
    }
    RuleMetrics& metrics = metrics_.of(first.rule);
    if (first.action != Record::kErrorAction) {
      metrics.actions_succeeded(action, took_s);
      continue;
    }
    for (std::size_t ended = 0; ended < took_s.size(); ++ended) {
      metrics.error_action_ended(true);
    }
  }
}

Function<void()> Firings::on_end(
    const std::string& sink, Record& record, const RecordEnd& end, store::Batch& batch
) {
  count(sink, record, end);
  if (record.firing) {
    return end_in_memory(sink, record, end);
  }
  if (!record.message_id.empty()) {
    return end_durable(sink, record, end, batch);
  }
  if (end.kind == RecordEnd::Kind::kFailed) {
    dead_letters_.bury(sink, record, {failure_of(sink, record, end.reason)}, batch);
  }
  return {};
}

Function<void()> Firings::end_in_memory(
    const std::string& sink, Record& record, const RecordEnd& end
) {
  const std::shared_ptr<MemoryFiring> firing = std::move(record.firing);
  if (end.kind == RecordEnd::Kind::kFailed) {
    firing->add_failure(failure_of(sink, record, end.reason));
  }
  if (firing->end_one()) {
    if (auto failures = firing->take_failures(); !failures.empty()) {
      FailedMessage failed{firing->message(), std::move(failures)};
      const LiveRuleRef live = rules_->find(record.rule);
      if (end.kind == RecordEnd::Kind::kDropped && live && live->rule->error_action &&
          live->rule->error_action->calls_external) {
        // By a worker, whose publish found the queue full: it must not wait for what this asks.
        runner_->post([this, rule = record.rule, failed = std::move(failed)] {
          fire_error_action(rule, std::span(&failed, 1), nullptr);
        });
      } else if (is_of_batch(record, failed)) {
        tell_together(sink, record, std::move(failed));
      } else {
        fire_error_action(record.rule, std::span(&failed, 1), nullptr);
      }
    }
  }
  return {};
}

Function<void()> Firings::end_durable(
    const std::string& sink, Record& record, const RecordEnd& end, store::Batch& batch
) {
  const std::uint32_t mine = 1U << static_cast<std::uint32_t>(record.action);
  record::OutboxFiring own;
  own.set_open_mask(record.actions_mask & ~mine & ~kHasFailures);
  if (end.kind == RecordEnd::Kind::kFailed) {
    *own.add_failures() = failure_of(sink, record, end.reason);
  }
  if (record.actions_mask == mine) {
    return close(sink, record, own, batch);
  }
  FiringKey key(record.message_id, record.rule);
  record::OutboxFiring state;
  {
    const std::lock_guard lock(mutex_);
    const auto [open, is_new] = open_.try_emplace(key);
    if (is_new) {
      open->second.state = read_firing(outbox_.store(), record);
    }
    merge(open->second.state, own);
    if (open->second.state.open_mask() != 0) {
      // Each end has a row of its own: the threads of several sinks commit them in any order.
      const auto action = static_cast<std::uint64_t>(record.action);
      batch.put(
          keys::kOutbox,
          keys::firing_end(record.message_id, record.rule, action),
          own.SerializeAsString()
      );
      ++open->second.uncommitted;
      return
          [this, key = std::move(key), mask = record.actions_mask] { note_committed(key, mask); };
    }
    state = open->second.state;
    if (open->second.uncommitted == 0) {
      open_.erase(open);
    } else {
      open->second.is_closed = true;
    }
  }
  return close(sink, record, state, batch);
}

void Firings::note_committed(const FiringKey& key, std::uint32_t actions_mask) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = open_.find(key);
    if (found == open_.end() || --found->second.uncommitted > 0) {
      return;
    }
    const bool is_closed = found->second.is_closed;
    open_.erase(found);
    if (!is_closed) {
      return;  // the next end reads from the store what was so far
    }
  }
  store::Batch batch;
  erase_firing(batch, key.first, key.second, actions_mask);
  outbox_.store().commit(std::move(batch), nullptr, nullptr);
}

Function<void()> Firings::close(
    const std::string& sink,
    const Record& record,
    const record::OutboxFiring& state,
    store::Batch& batch
) {
  const std::string message_key = keys::message(record.message_id, record.rule).take();
  batch.erase(keys::kOutbox, message_key);
  const std::uint32_t mine = 1U << static_cast<std::uint32_t>(record.action);
  if (record.actions_mask != mine) {
    erase_firing(batch, record.message_id, record.rule, record.actions_mask);
  }
  if (state.failures().empty()) {
    return {};
  }
  std::vector<record::ActionFailure> failures(state.failures().begin(), state.failures().end());
  Result<std::optional<record::OutboxMessage>> message = read_message(outbox_.store(), message_key);
  if (!message || !*message) {
    dead_letters_.bury(sink, record, std::move(failures), batch);
    return {};
  }
  FailedMessage failed{std::move(**message), std::move(failures)};
  if (is_of_batch(record, failed)) {
    tell_together(sink, record, std::move(failed));
    return {};
  }
  return fire_error_action(record.rule, std::span(&failed, 1), &batch);
}

void Firings::tell_together(const std::string& sink, const Record& record, FailedMessage failed) {
  const std::lock_guard lock(mutex_);
  std::vector<Request>& requests = ended_[sink];
  auto found = std::ranges::find_if(requests, [&](const Request& each) {
    return each.number == record.request && each.rule == record.rule &&
           each.is_durable == record.is_durable();
  });
  if (found == requests.end()) {
    found = requests.insert(requests.end(), {record.request, record.rule, record.is_durable(), {}});
  }
  found->failed.push_back(std::move(failed));
}

void Firings::on_batch_end(
    const std::string& sink, store::Batch& batch, std::vector<Function<void()>>& after
) {
  std::vector<Request> requests;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = ended_.find(sink); found != ended_.end()) {
      requests = std::move(found->second);
      ended_.erase(found);
    }
  }
  for (const Request& request : requests) {
    Function<void()> then =
        fire_error_action(request.rule, request.failed, request.is_durable ? &batch : nullptr);
    if (then) {
      after.push_back(std::move(then));
    }
  }
}

Function<void()> Firings::fire_error_action(
    const std::string& rule, std::span<const FailedMessage> failed, store::Batch* batch
) {
  const record::OutboxMessage& message = failed.front().message;
  auto record = std::make_unique<Record>();
  record->rule = rule;
  record->action = Record::kErrorAction;
  record->delivery_id = message.trace_id() + ":" + rule + ":error";
  record->payload = error_payload(rule, failed);
  record->hops = static_cast<std::uint8_t>(message.hops());
  record->received_ms = to_epoch_ms(clock_.wall());

  const LiveRuleRef live = rules_->find(rule);
  const auto give_up = [&](const std::string& reason) -> Function<void()> {
    std::vector<record::ActionFailure> failures;
    for (const FailedMessage& each : failed) {
      failures.insert(failures.end(), each.failures.begin(), each.failures.end());
    }
    record::ActionFailure& last = failures.emplace_back();
    last.set_action("errorAction");
    last.set_message(reason);
    metrics_.of(rule).error_action_ended(false);
    store::Batch own;
    dead_letters_.bury("", *record, std::move(failures), batch == nullptr ? own : *batch);
    if (batch == nullptr) {
      outbox_.store().commit(std::move(own), nullptr, nullptr);
    }
    return {};
  };
  if (!live || !live->rule->error_action) {
    return give_up("the rule is gone, disabled or has no errorAction any more");
  }
  MessageSource source;
  source.read(message, account_);
  sql::ParsedPayload payload(message.payload());
  sql::SystemRandom random;
  sql::Evaluation evaluation(live->rule->program, source.view(), payload, *external_, random);
  const RuleAction& action = *live->rule->error_action;
  evaluation.set_withholding(!action.action->is_publish());
  Result<Action::Fields> fields = action.action->resolve({evaluation, record->payload, true});
  if (!fields) {
    return give_up(fields.error().message());
  }
  record->fields = std::move(*fields);
  record->secret_mark = evaluation.secret_mark();
  set_patience(*record, action.delivery, batch != nullptr, live->is_strict);
  SinkQueue* queue = live->error_queue;
  if (batch == nullptr || action.delivery.durable == Durable::kNever) {
    queue->push(std::move(record));
    return {};
  }
  record->sequence = queue->next_sequence(*batch);
  Outbox::put(*batch, queue->id(), *record);
  return [queue, record = std::move(record)]() mutable { queue->push(std::move(record)); };
}

void set_patience(Record& record, const DeliveryOptions& delivery, bool durable, bool is_strict) {
  constexpr std::chrono::milliseconds kAgeMax = std::chrono::hours(24);
  constexpr std::uint32_t kFewAttempts = 3;
  record.age_max = delivery.age_max.value_or(kAgeMax);
  record.attempts_max = delivery.attempts_max.value_or(durable && !is_strict ? 0 : kFewAttempts);
}

}  // namespace iotcore::rules
