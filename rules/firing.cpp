#include "rules/firing.h"

#include "base/tracing.h"
#include "rules/firings.h"
#include "rules/keys.h"
#include "rules/sql/withheld.h"

#include <functional>
#include <utility>

namespace iotcore::rules {

void Firing::resolve(const ActionInput& input) {
  const std::vector<RuleAction>& actions = live_.rule->actions;
  for (std::size_t i = 0; i < actions.size(); ++i) {
    input.evaluation.set_withholding(!actions[i].action->is_publish());
    Result<Action::Fields> fields = actions[i].action->resolve(input);
    note(actions[i], input, fields);
    if (!fields) {
      add_failure(actions[i], {}, fields.error());
    } else if (actions[i].action->is_publish()) {
      publish(actions[i], input, std::move(*fields));
    } else {
      queue(i, input, std::move(*fields));
    }
  }
}

void Firing::note(
    const RuleAction& action, const ActionInput& input, const Result<Action::Fields>& fields
) {
  if (trace_ != nullptr) [[unlikely]] {
    trace_->actions.push_back(
        {std::string(action.kind->name),
         fields
             ? sql::show_withheld(action.action->resource(*fields), input.evaluation.secret_mark())
             : std::string(),
         fields ? std::string() : fields.error().message()}
    );
  }
}

bool Firing::is_durable(const RuleAction& action) const {
  switch (action.delivery.durable) {
    case Durable::kNever:
      return false;
    case Durable::kAlways:
      return true;
    case Durable::kQos1:
      break;
  }
  return origin_.is_promised;
}

void Firing::add_failure(
    const RuleAction& action, const Action::Fields& fields, const Error& error
) {
  live_.metrics->action_failed({action.kind->name, action.action->target()}, "unresolved");
  record::ActionFailure failure;
  failure.set_action(action.label);
  failure.set_resource(fields.empty() ? action.action->target() : action.action->resource(fields));
  failure.set_message(error.message());
  failures.push_back(std::move(failure));
}

void Firing::publish(const RuleAction& action, const ActionInput& input, Action::Fields fields) {
  Result<broker::Message::Ref> message =
      action.action->to_message(fields, input.payload, origin_.hops);
  if (!message) {
    add_failure(action, fields, message.error());
    return;
  }
  publishes.push_back({std::move(*message), action.kind});
  live_.metrics->action_succeeded({action.kind->name, {}}, 0);
}

void Firing::queue(std::size_t index, const ActionInput& input, Action::Fields fields) {
  const RuleAction& action = live_.rule->actions[index];
  const bool is_kept = is_durable(action);
  std::unique_ptr<Record> record =
      records_ != nullptr ? records_->make() : std::make_unique<Record>();
  record->rule = rule();
  record->action = static_cast<std::int32_t>(index);
  record->delivery_id.append(origin_.message.trace_id.value_or(""))
      .append(":")
      .append(record->rule)
      .append(":")
      .append(std::to_string(index));
  if (tracing::Scope::current() != nullptr) [[unlikely]] {
    tracing::Tracer::installed()->follow(record->delivery_id);
  }
  SinkQueue* queue = live_.lanes[index].of(
      [&] { return action.action->order_key(fields, input.payload); },
      origin_.message.client_id.value_or("")
  );
  record->fields = std::move(fields);
  record->payload = input.payload;
  record->is_json = input.is_json;
  record->secret_mark = input.evaluation.secret_mark();
  record->hops = origin_.hops;
  record->received_ms = origin_.message.timestamp_ms;
  set_patience(*record, action.delivery, is_kept, live_.is_strict);
  if (is_kept) {
    durable_mask_ |= 1U << index;
  }
  (is_kept ? durable : in_memory).push_back({queue, std::move(record)});
}

void Firing::write(store::Batch& batch, const record::OutboxMessage& message) {
  const std::string& id = message.trace_id();
  for (Prepared& prepared : durable) {
    Record& record = *prepared.record;
    if (has_error_action()) {
      record.message_id = id;
      record.actions_mask = durable_mask_ | (failures.empty() ? 0 : kHasFailures);
    }
    record.sequence = prepared.queue->next_sequence(batch);
    Outbox::put(batch, prepared.queue->id(), record);
  }
  if (!has_error_action() || durable.empty()) {
    return;
  }
  batch.put(keys::kOutbox, keys::message(id, rule()), message.SerializeAsString());
  if (!failures.empty()) {
    record::OutboxFiring state;
    state.set_open_mask(durable_mask_);
    for (record::ActionFailure& failure : std::exchange(failures, {})) {
      *state.add_failures() = std::move(failure);
    }
    batch.put(keys::kOutbox, keys::firing(id, rule()), state.SerializeAsString());
  }
}

void Firing::connect_in_memory(const record::OutboxMessage& message) {
  const auto firing =
      std::make_shared<MemoryFiring>(message, static_cast<std::uint32_t>(in_memory.size()));
  if (durable.empty()) {
    for (record::ActionFailure& failure : std::exchange(failures, {})) {
      firing->add_failure(std::move(failure));
    }
  }
  for (Prepared& prepared : in_memory) {
    prepared.record->firing = firing;
  }
}

}  // namespace iotcore::rules
