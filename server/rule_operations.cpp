#include "server/rule_operations.h"

#include "proto/api/rule_operations.pb.h"
#include "rules/engine.h"
#include "rules/rule_check.h"
#include "rules/rule_try.h"
#include "rules/sql/source_error.h"
#include "rules/sql/withheld.h"
#include "server/secrets.h"

#include <algorithm>

namespace iotcore::server {
namespace {

using gateway::CallContext;
using rules::DeadLetter;
using rules::DeadLetters;
using rules::Engine;
using rules::TraceEvent;
using rules::TriedRule;

bool is_text(std::string_view bytes) {
  return !rules::sql::not_utf8(bytes);
}

Result<api::PutSecretResponse> put_secret(Secrets& secrets, const api::PutSecretRequest& request) {
  if (request.has_secret_string() == request.has_secret_binary()) {
    return fail(Errc::kInvalidRequest, "Give one of secretString and secretBinary.");
  }
  Secrets::Value value;
  value.is_binary = request.has_secret_binary();
  value.bytes = value.is_binary ? request.secret_binary() : request.secret_string();
  IOTCORE_TRY(secrets.put(request.secret_name(), value));
  return api::PutSecretResponse();
}

Result<api::ListSecretsResponse> list_secrets(const Secrets& secrets) {
  api::ListSecretsResponse response;
  IOTCORE_ASSIGN(const std::vector<Secrets::Info> all, secrets.list());
  for (const Secrets::Info& info : all) {
    api::ListSecretsResponse::Secret& shown = *response.add_secrets();
    shown.set_secret_name(info.name);
    shown.set_is_binary(info.is_binary);
    shown.set_modified_date(info.modified_ms);
    shown.set_source(info.source == Secrets::Source::kStore ? "STORE" : "FILE");
  }
  return response;
}

Result<api::DeleteSecretResponse> delete_secret(
    Secrets& secrets, const api::DeleteSecretRequest& request
) {
  IOTCORE_TRY(secrets.remove(request.secret_name()));
  return api::DeleteSecretResponse();
}

Result<api::ListSinksResponse> list_sinks(const Engine& engine) {
  api::ListSinksResponse response;
  for (const rules::SinkQueue::State& state : engine.sinks()) {
    api::Sink& shown = *response.add_sinks();
    shown.set_sink(state.sink);
    shown.set_up(state.up);
    shown.set_records(static_cast<std::int64_t>(state.records));
    shown.set_bytes(static_cast<std::int64_t>(state.bytes));
    if (state.oldest) {
      shown.set_oldest_seconds(state.oldest->count() / 1000);
    }
    if (!state.last_error.empty()) {
      shown.set_last_error(state.last_error);
    }
  }
  return response;
}

void describe(api::DeadLetterSummary& out, const DeadLetter& letter) {
  out.set_dead_letter_id(letter.id);
  out.set_rule_name(letter.content.record().rule());
  out.set_sink(letter.content.sink());
  out.set_failed_date(letter.content.failed_ms());
  out.set_payload_bytes(static_cast<std::int64_t>(letter.content.record().payload().size()));
  for (const record::ActionFailure& failure : letter.content.failures()) {
    api::ActionFailureText& shown = *out.add_failures();
    shown.set_action(failure.action());
    shown.set_resource(failure.resource());
    shown.set_message(failure.message());
  }
}

Result<api::ListDeadLettersResponse> list_dead_letters(
    Engine& engine, const api::ListDeadLettersRequest& request
) {
  constexpr std::size_t kPage = 100;
  const std::size_t size =
      request.has_max_results() ? static_cast<std::size_t>(request.max_results()) : kPage;
  IOTCORE_ASSIGN(
      const std::vector<DeadLetter> letters,
      engine.dead_letters().list(request.rule_name(), request.next_token(), size)
  );
  api::ListDeadLettersResponse response;
  for (const DeadLetter& letter : letters) {
    describe(*response.add_dead_letters(), letter);
  }
  if (letters.size() == size) {
    response.set_next_token(letters.back().id);
  }
  return response;
}

Result<api::GetDeadLetterResponse> get_dead_letter(
    Engine& engine, const api::GetDeadLetterRequest& request
) {
  IOTCORE_ASSIGN(const DeadLetter letter, engine.dead_letters().get(request.dead_letter_id()));
  const record::OutboxRecord& record = letter.content.record();
  api::GetDeadLetterResponse response;
  describe(*response.mutable_dead_letter(), letter);
  response.set_delivery_id(record.delivery_id());
  response.set_received_date(record.received_ms());
  for (const std::string& field : record.fields()) {
    response.add_fields(
        is_text(field) ? rules::sql::show_withheld(field, record.secret_mark()) : "(binary)"
    );
  }
  response.set_payload(rules::sql::show_withheld(record.payload(), record.secret_mark()));
  return response;
}

template <typename Request>
Result<DeadLetters::Selection> selection_of(const Request& request) {
  if (request.dead_letter_ids_size() > 0 && request.has_rule_name()) {
    return fail(Errc::kInvalidRequest, "Give deadLetterIds or ruleName, not both.");
  }
  DeadLetters::Selection selection;
  selection.ids.assign(request.dead_letter_ids().begin(), request.dead_letter_ids().end());
  selection.rule = request.rule_name();
  return selection;
}

Result<api::RetryDeadLettersResponse> retry_dead_letters(
    Engine& engine, const api::RetryDeadLettersRequest& request
) {
  IOTCORE_ASSIGN(const DeadLetters::Selection selection, selection_of(request));
  IOTCORE_ASSIGN(const std::size_t count, engine.retry_dead_letters(selection));
  api::RetryDeadLettersResponse response;
  response.set_count(static_cast<std::int64_t>(count));
  return response;
}

Result<api::DropDeadLettersResponse> drop_dead_letters(
    Engine& engine, const api::DropDeadLettersRequest& request
) {
  IOTCORE_ASSIGN(const DeadLetters::Selection selection, selection_of(request));
  IOTCORE_ASSIGN(const std::size_t count, engine.dead_letters().drop(selection));
  api::DropDeadLettersResponse response;
  response.set_count(static_cast<std::int64_t>(count));
  return response;
}

template <typename Action>
void describe(api::TriedAction& out, const Action& action) {
  out.set_kind(action.kind);
  if (action.error.empty()) {
    out.set_resource(action.resource);
  } else {
    out.set_error(action.error);
  }
}

std::string_view name_of(TraceEvent::Outcome outcome) {
  return outcome == TraceEvent::Outcome::kFired      ? "FIRED"
         : outcome == TraceEvent::Outcome::kNotFired ? "NOT_FIRED"
                                                     : "FAILED";
}

Result<api::TraceTopicRuleResponse> trace_rule(
    Engine& engine, const api::TraceTopicRuleRequest& request
) {
  IOTCORE_TRY(engine.catalog().get(request.rule_name()));
  const rules::RuleTraces::Page page =
      engine.traces().read(request.rule_name(), static_cast<std::uint64_t>(request.after()));
  api::TraceTopicRuleResponse response;
  for (const TraceEvent& event : page.events) {
    api::TraceTopicRuleResponse::Event& shown = *response.add_events();
    shown.set_date(event.time_ms);
    shown.set_trace_id(event.trace_id);
    shown.set_topic(event.topic);
    shown.set_client_id(event.client_id);
    shown.set_payload(event.payload);
    shown.set_outcome(std::string(name_of(event.outcome)));
    if (event.outcome == TraceEvent::Outcome::kFired) {
      shown.set_output(event.output);
    }
    if (!event.error.empty()) {
      shown.set_error(event.error);
    }
    for (const TraceEvent::Action& action : event.actions) {
      describe(*shown.add_actions(), action);
    }
  }
  response.set_next(static_cast<std::int64_t>(page.next));
  response.set_missed(static_cast<std::int64_t>(page.missed));
  return response;
}

std::string_view name_of(TriedRule::Outcome outcome) {
  switch (outcome) {
    case TriedRule::Outcome::kOtherTopic:
      return "OTHER_TOPIC";
    case TriedRule::Outcome::kNotFired:
      return "NOT_FIRED";
    case TriedRule::Outcome::kFailed:
      return "FAILED";
    case TriedRule::Outcome::kFired:
      return "FIRED";
  }
  return "";
}

void describe(api::TestTopicRulesResponse::Rule& out, std::string name, const TriedRule& tried) {
  out.set_rule_name(std::move(name));
  out.set_outcome(std::string(name_of(tried.outcome)));
  if (tried.outcome == TriedRule::Outcome::kFired && is_text(tried.output)) {
    out.set_output(tried.output);
  } else if (tried.outcome == TriedRule::Outcome::kFired) {
    out.set_output_base64(tried.output);
  }
  if (!tried.error.empty()) {
    out.set_error(tried.error);
  }
  for (const TriedRule::Action& action : tried.actions) {
    describe(*out.add_actions(), action);
  }
}

// The rules that a request is about: of a file's text, or the one that is there.
Result<std::vector<rules::RuleDefinition>> definitions_of(
    Engine& engine, const api::TestTopicRulesRequest& request
) {
  std::vector<rules::RuleDefinition> definitions;
  if (request.has_rule_file() == request.has_rule_name()) {
    return fail(Errc::kInvalidRequest, "Give one of ruleFile and ruleName.");
  }
  if (request.has_rule_name()) {
    IOTCORE_ASSIGN(rules::CatalogRule rule, engine.catalog().get(request.rule_name()));
    definitions.push_back(std::move(rule.definition));
    return definitions;
  }
  rules::CheckedFile checked =
      rules::check_text(request.rule_file(), engine.environment(), "the request");
  if (!checked.errors.empty()) {
    return fail(Errc::kSqlParse, checked.report("ruleFile"));
  }
  for (rules::FileRule& rule : checked.file.rules) {
    definitions.push_back(std::move(rule.definition));
  }
  return definitions;
}

Result<api::TestTopicRulesResponse> test_rules(
    Engine& engine, const api::TestTopicRulesRequest& request
) {
  IOTCORE_ASSIGN(std::vector<rules::RuleDefinition> definitions, definitions_of(engine, request));
  rules::TestMessage message;
  message.topic = request.topic();
  message.payload = request.has_payload() ? request.payload() : request.payload_base64();
  if (request.has_client_id()) {
    message.client_id = request.client_id();
  }
  api::TestTopicRulesResponse response;
  for (rules::RuleDefinition& definition : definitions) {
    std::string name = definition.name;
    const auto rule =
        rules::compile_rule(std::move(definition), engine.environment(), engine.options().compile);
    if (!rule) {
      return fail(rules::to_error(rule.error()));
    }
    describe(
        *response.add_rules(),
        std::move(name),
        rules::try_rule(**rule, message, engine.external_functions())
    );
  }
  return response;
}

// A function of one owner as the handler of the operation whose request it takes.
template <typename Owner, typename Request, typename Response>
void add(
    gateway::OperationRegistry& operations,
    std::string_view name,
    Owner& owner,
    Result<Response> (*handler)(Owner&, const Request&)
) {
  operations.add<Request, Response>(name, [&owner, handler](const CallContext&, const Request& r) {
    return handler(owner, r);
  });
}

}  // namespace

void register_rule_operations(
    gateway::OperationRegistry& operations, Engine& engine, Secrets& secrets
) {
  operations.add<api::PutSecretRequest, api::PutSecretResponse>(
      "PutSecret",
      [&engine, &secrets](const CallContext&, const api::PutSecretRequest& request) {
        Result<api::PutSecretResponse> response = put_secret(secrets, request);
        engine.catalog().secrets_changed();
        return response;
      }
  );
  add(operations, "DeleteSecret", secrets, &delete_secret);
  operations.add<api::ListSecretsRequest, api::ListSecretsResponse>(
      "ListSecrets",
      [&secrets](const CallContext&, const api::ListSecretsRequest&) {
        return list_secrets(secrets);
      }
  );
  operations.add<api::ListSinksRequest, api::ListSinksResponse>(
      "ListSinks",
      [&engine](const CallContext&, const api::ListSinksRequest&) { return list_sinks(engine); }
  );
  add(operations, "ListDeadLetters", engine, &list_dead_letters);
  add(operations, "GetDeadLetter", engine, &get_dead_letter);
  add(operations, "RetryDeadLetters", engine, &retry_dead_letters);
  add(operations, "DropDeadLetters", engine, &drop_dead_letters);
  add(operations, "TraceTopicRule", engine, &trace_rule);
  add(operations, "TestTopicRules", engine, &test_rules);
}

}  // namespace iotcore::server
