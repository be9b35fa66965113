#include "rules/record_secrets.h"

#include "base/json.h"
#include "rules/rule_set.h"
#include "rules/sql/evaluation.h"

#include <algorithm>
#include <deque>
#include <utility>

namespace iotcore::rules {
namespace {

// Shorter than that, what is taken out of a message would be more than the secret.
constexpr std::size_t kHiddenBytesMin = 4;

Result<std::string> evaluate(
    std::string_view expression, bool as_json, sql::ExternalFunctions& external
) {
  IOTCORE_ASSIGN(
      const sql::Program program,
      sql::compile(
          "SELECT VALUE " + std::string(as_json ? expression : "0") + " FROM 'a'",
          sql::Version::k2016_03_23
      )
  );
  const sql::MessageView message;
  sql::ParsedPayload payload(std::string_view{});
  sql::SystemRandom random;
  sql::Evaluation evaluation(program, message, payload, external, random);
  if (!as_json) {
    IOTCORE_ASSIGN(
        const sql::Template text,
        sql::compile_template("${" + std::string(expression) + "}", program)
    );
    return evaluation.render(text);
  }
  IOTCORE_ASSIGN(const std::optional<sql::Output> output, evaluation.run());
  return output && output->is_json() ? std::string(output->view()) : std::string("null");
}

void hide(std::string& text, const std::vector<std::string>& secrets) {
  for (const std::string& secret : secrets) {
    if (secret.size() < kHiddenBytesMin) {
      continue;
    }
    for (std::size_t at = text.find(secret); at != std::string::npos; at = text.find(secret, at)) {
      text.replace(at, secret.size(), "***");
      at += 3;
    }
  }
}

}  // namespace

void RecordSecrets::connect(const RuleSet& rules, sql::ExternalFunctions& external) {
  rules_ = &rules;
  external_ = &external;
}

Result<std::string> RecordSecrets::text_of(const Record& record, const sql::Withheld& withheld)
    const {
  if (withheld.kind == sql::Withheld::Kind::kExpression) {
    return evaluate(withheld.text, false, *external_);
  }
  const LiveRuleRef live = rules_->find(record.rule);
  const RuleAction* action = live ? live->rule->action(record.action) : nullptr;
  std::optional<std::string> value =
      action == nullptr ? std::nullopt : action->action->own_secret(withheld.text);
  if (!value) {
    return fail(
        Errc::kUnavailable,
        withheld.text + " is not known: rule " + record.rule + " is gone, disabled or changed"
    );
  }
  return *std::move(value);
}

Result<std::string> RecordSecrets::json_of(const Record& record, const sql::Withheld& withheld)
    const {
  if (withheld.kind == sql::Withheld::Kind::kExpression) {
    return evaluate(withheld.text, true, *external_);
  }
  IOTCORE_ASSIGN(const std::string text, text_of(record, withheld));
  std::string json;
  append_json_string(json, text);
  return json;
}

Result<Record> RecordSecrets::open(const Record& record, std::vector<std::string>& opened) const {
  Record open = record;
  open.next = nullptr;
  const auto text = [&](const sql::Withheld& withheld) -> Result<std::string> {
    IOTCORE_ASSIGN(std::string value, text_of(record, withheld));
    return opened.emplace_back(std::move(value));
  };
  const auto escaped = [&](const sql::Withheld& withheld) -> Result<std::string> {
    IOTCORE_ASSIGN(const std::string value, text(withheld));
    std::string json;
    append_json_string(json, value);
    return json.substr(1, json.size() - 2);
  };
  for (std::string& field : open.fields) {
    if (field.find(record.secret_mark) == std::string::npos) {
      continue;
    }
    if ((field.starts_with('{') || field.starts_with('[')) && parse_json(field)) {
      IOTCORE_ASSIGN(field, sql::replace_withheld(field, record.secret_mark, escaped));
    } else {
      IOTCORE_ASSIGN(field, sql::replace_withheld(field, record.secret_mark, text));
    }
  }
  if (!record.is_json || open.payload.find(record.secret_mark) == std::string::npos) {
    return open;
  }
  // In a result it is always a whole string, which gives way to a value.
  const auto json = [&](const sql::Withheld& withheld) -> Result<std::string> {
    IOTCORE_ASSIGN(std::string value, json_of(record, withheld));
    opened.push_back(value);
    return value;
  };
  IOTCORE_ASSIGN(
      open.payload, sql::replace_withheld_strings(record.payload, record.secret_mark, json)
  );
  return open;
}

void SecretSink::deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) {
  const bool any =
      std::ranges::any_of(batch, [](const Record* record) { return !record->secret_mark.empty(); });
  if (any) [[unlikely]] {
    deliver_opened(batch, outcomes);
  } else {
    inner_->deliver(batch, outcomes);
  }
}

void SecretSink::deliver_opened(std::span<const Record* const> batch, std::span<Outcome> outcomes) {
  std::deque<Record> opened;
  std::vector<std::string> secrets;
  PartOfBatch part;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (batch[i]->secret_mark.empty()) {
      part.add(i, *batch[i]);
      continue;
    }
    Result<Record> record = secrets_.open(*batch[i], secrets);
    if (!record) {
      // A secret that is put there later is found then.
      outcomes[i] = Outcome::retry_alone(record.error().message());
      continue;
    }
    part.add(i, opened.emplace_back(*std::move(record)));
  }
  part.deliver(*inner_, outcomes);
  for (Outcome& outcome : outcomes) {
    hide(outcome.reason, secrets);
  }
}

}  // namespace iotcore::rules
