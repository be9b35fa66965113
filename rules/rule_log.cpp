#include "rules/rule_log.h"

namespace iotcore::rules {
namespace {

// A record's delivery id is "<trace>:<rule>:<action>".
std::string_view trace_of(const Record& record) {
  const std::string_view id = record.delivery_id;
  return id.substr(0, id.find(':'));
}

}  // namespace

void log_rule_event(
    LogLevel level,
    std::string_view event,
    std::string_view event_type,
    const sql::MessageView& message,
    std::string_view rule,
    std::string_view error
) {
  const std::string_view client = message.client_id.value_or("n/a");
  const std::string_view trace = message.trace_id.value_or("");
  if (error.empty()) {
    log(level,
        event,
        {{"eventType", event_type},
         {"status", "Success"},
         {"ruleName", rule},
         {"topicName", message.topic},
         {"clientId", client},
         {"principalId", message.principal},
         {"traceId", trace},
         {"accountId", message.account_id}});
    return;
  }
  log(level,
      event,
      {{"eventType", event_type},
       {"status", "Failure"},
       {"ruleName", rule},
       {"topicName", message.topic},
       {"clientId", client},
       {"principalId", message.principal},
       {"traceId", trace},
       {"accountId", message.account_id},
       {"error", error}});
}

void log_match(const sql::MessageView& message, std::string_view rule) {
  log_rule_event(LogLevel::kDebug, "rule.matched", kRuleMatch, message, rule);
  log_rule_event(LogLevel::kDebug, "rule.starting", kStartingRuleExecution, message, rule);
}

void log_not_found(const sql::MessageView& message, std::string_view rule) {
  log_rule_event(
      LogLevel::kDebug,
      "rule.not_found",
      kRuleNotFound,
      message,
      rule,
      "there is no such rule, or it is disabled"
  );
}

void log_action(
    LogLevel level,
    std::string_view event,
    const Record& record,
    std::string_view action,
    std::string_view resource,
    std::string_view error
) {
  if (error.empty()) {
    log(level,
        event,
        {{"eventType", kRuleExecution},
         {"status", "Success"},
         {"ruleName", record.rule},
         {"ruleAction", action},
         {"resources", resource},
         {"traceId", trace_of(record)}});
    return;
  }
  log(level,
      event,
      {{"eventType", kRuleExecution},
       {"status", "Failure"},
       {"ruleName", record.rule},
       {"ruleAction", action},
       {"resources", resource},
       {"traceId", trace_of(record)},
       {"error", error}});
}

}  // namespace iotcore::rules
