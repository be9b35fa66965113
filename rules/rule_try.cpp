#include "rules/rule_try.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "broker/topic.h"
#include "rules/sql/evaluation.h"
#include "rules/sql/withheld.h"

namespace iotcore::rules {
TriedRule try_rule(const Rule& rule, const TestMessage& message, sql::ExternalFunctions& external) {
  TriedRule tried;
  const std::string prefix = "$aws/rules/" + rule.definition.name;
  sql::MessageView view;
  view.topic = message.topic;
  const std::optional<std::string>& filter = rule.program.topic_filter();
  if (view.topic == prefix || view.topic.starts_with(prefix + "/")) {
    view.topic.remove_prefix(std::min(view.topic.size(), prefix.size() + 1));
  } else if (!filter || !broker::topic_matches(*filter, message.topic)) {
    return tried;
  }
  view.client_id = message.client_id;
  view.principal = "test";
  view.source_ip = "127.0.0.1";
  const std::string trace_id = new_uuid();
  view.trace_id = trace_id;
  view.account_id = "000000000000";
  view.timestamp_ms = to_epoch_ms(SystemClock().wall());
  sql::ParsedPayload payload(message.payload);
  sql::SystemRandom random;
  sql::Evaluation evaluation(rule.program, view, payload, external, random);
  evaluation.set_withholding(true);
  const Result<std::optional<sql::Output>> output = evaluation.run();
  if (!output) {
    tried.outcome = TriedRule::Outcome::kFailed;
    tried.error = output.error().message();
    return tried;
  }
  if (!*output) {
    tried.outcome = TriedRule::Outcome::kNotFired;
    return tried;
  }
  tried.outcome = TriedRule::Outcome::kFired;
  tried.output = sql::show_withheld((*output)->view(), evaluation.secret_mark());
  tried.is_json = (*output)->is_json();
  const ActionInput input{evaluation, tried.output, tried.is_json};
  for (const RuleAction& action : rule.actions) {
    TriedRule::Action& shown = tried.actions.emplace_back();
    shown.kind = action.kind->name;
    const Result<Action::Fields> fields = action.action->resolve(input);
    if (fields) {
      shown.resource =
          sql::show_withheld(action.action->resource(*fields), evaluation.secret_mark());
    } else {
      shown.error = fields.error().message();
    }
  }
  return tried;
}

}  // namespace iotcore::rules
