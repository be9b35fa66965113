#pragma once

#include "base/json.h"
#include "base/result.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace iotcore::rules {

// A rule as CreateTopicRule knows it, whether it came by REST or from a rule file.
struct RuleDefinition {
  std::string name;
  std::string sql;
  std::string description;
  std::string version = "2015-10-08";  // awsIotSqlVersion; what AWS takes when none is given
  bool disabled = false;
  std::vector<std::pair<std::string, std::string>> tags;
  // Each {kind: {member: value, …}}, perhaps beside "iotcoreDelivery": {…}. As given: what the
  // members may be is the actions' business.
  json::array actions;
  std::optional<json::object> error_action;

  friend bool operator==(const RuleDefinition&, const RuleDefinition&) = default;
};

struct RuleLimits {
  std::size_t actions_max = 10;
  std::size_t document_bytes_max = 256U << 10;
};

// TopicRulePayload. kInvalidRequest with the member's name for a wrong type, an unknown member, a
// missing one or a limit.
Result<RuleDefinition> from_topic_rule_payload(
    std::string_view rule_name, const json::object& payload
);
// Members in AWS's order; errorAction and description only if they are there.
json::object to_topic_rule_payload(const RuleDefinition& rule);

// Name, version, number and shape of actions, size. Not the SQL (compile it) and not the members of
// actions.
Status validate(const RuleDefinition& rule, const RuleLimits& limits = {});

// The members of an action object: that of its kind, or of all kinds that are not AWS's, and of how it is delivered.
inline constexpr std::string_view kOwnActions = "iotcore";
inline constexpr std::string_view kDeliveryMember = "iotcoreDelivery";

// The one member besides the delivery options.
std::string_view action_member(const json::object& action);
// The kind of an action object ("republish"): its one member besides "iotcoreDelivery". For
// {"iotcore": {"type": t, …}} it is t.
std::string_view action_kind(const json::object& action);
// The members of the action, without its kind; of {"iotcore": {…}} "type" is one of them.
const json::object& action_members(const json::object& action);
// The delivery options, or nullptr.
const json::object* action_delivery(const json::object& action);

}  // namespace iotcore::rules
