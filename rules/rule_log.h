#pragma once

#include "base/log.h"
#include "rules/sink.h"
#include "rules/sql/message_view.h"

#include <string_view>

// What rules do with messages, in lines with the members that AWS has for them in CloudWatch Logs: eventType, status, traceId, accountId, clientId, topicName,
// ruleName, principalId. What goes well is told at the level debug; who can be made to write many lines limits them.
namespace iotcore::rules {

inline constexpr std::string_view kRuleMatch = "RuleMatch";
inline constexpr std::string_view kStartingRuleExecution = "StartingRuleExecution";
inline constexpr std::string_view kRuleExecution = "RuleExecution";
inline constexpr std::string_view kFunctionExecution = "FunctionExecution";
inline constexpr std::string_view kRuleNotFound = "RuleNotFound";
inline constexpr std::string_view kRuleMessageThrottled = "RuleMessageThrottled";

// Of a message and a rule; `error` is empty if all is well.
void log_rule_event(
    LogLevel level,
    std::string_view event,
    std::string_view event_type,
    const sql::MessageView& message,
    std::string_view rule,
    std::string_view error = {}
);

// RuleMatch and StartingRuleExecution, at the level debug.
void log_match(const sql::MessageView& message, std::string_view rule);

// RuleNotFound, at the level debug.
void log_not_found(const sql::MessageView& message, std::string_view rule);

// RuleExecution: what became of one action.
void log_action(
    LogLevel level,
    std::string_view event,
    const Record& record,
    std::string_view action,
    std::string_view resource,
    std::string_view error = {}
);

}  // namespace iotcore::rules
