#include "rules/rule_definition.h"

#include "rules/sql/program.h"
#include "rules/sql/source_error.h"

#include <algorithm>

namespace iotcore::rules {
namespace {

constexpr std::size_t kNameMax = 128;

constexpr std::string_view kMembers[] = {
    "sql",
    "description",
    "actions",
    "ruleDisabled",
    "awsIotSqlVersion",
    "errorAction",
};

tl::unexpected<Error> invalid(std::string message) {
  return fail(Errc::kInvalidRequest, std::move(message));
}

Status read_text(const json::object& payload, std::string_view name, std::string& to) {
  if (const json::value* const value = find_member(payload, name)) {
    if (!value->is_string()) {
      return invalid(std::string(name) + " must be a string");
    }
    to = value->get_string();
  }
  return {};
}

Status check_action(const json::value& action, const std::string& where) {
  if (!action.is_object()) {
    return invalid(where + " must be an object");
  }
  const json::object& object = action.get_object();
  const std::size_t others = find_member(object, kDeliveryMember) != nullptr ? 1 : 0;
  if (object.size() != others + 1) {
    return invalid(where + " must have exactly one member, which names the kind of action");
  }
  for (const auto& member : object) {
    if (!member.value().is_object()) {
      return invalid(where + "." + std::string(member.key()) + " must be an object");
    }
    if (member.key() == json::string_view(kOwnActions.data(), kOwnActions.size())) {
      const json::value* const type = find_member(member.value().get_object(), "type");
      if (type == nullptr || !type->is_string()) {
        return invalid(where + ".iotcore needs a type");
      }
    }
  }
  return {};
}

const json::value* kind_member(const json::object& action, std::string_view& kind) {
  for (const auto& member : action) {
    kind = {member.key().data(), member.key().size()};
    if (kind != kDeliveryMember) {
      return &member.value();
    }
  }
  kind = {};
  return nullptr;
}

}  // namespace

Result<RuleDefinition> from_topic_rule_payload(
    std::string_view rule_name, const json::object& payload
) {
  RuleDefinition rule;
  rule.name = rule_name;
  for (const auto& member : payload) {
    const std::string_view name(member.key().data(), member.key().size());
    if (std::find(std::begin(kMembers), std::end(kMembers), name) == std::end(kMembers)) {
      const std::string_view meant = sql::nearest(name, kMembers);
      return invalid(
          "a rule has no member " + std::string(name) +
          (meant.empty() ? "" : "; did you mean " + std::string(meant) + "?")
      );
    }
  }
  if (find_member(payload, "sql") == nullptr) {
    return invalid("sql is missing");
  }
  IOTCORE_TRY(read_text(payload, "sql", rule.sql));
  IOTCORE_TRY(read_text(payload, "description", rule.description));
  IOTCORE_TRY(read_text(payload, "awsIotSqlVersion", rule.version));
  if (const json::value* const disabled = find_member(payload, "ruleDisabled")) {
    if (!disabled->is_bool()) {
      return invalid("ruleDisabled must be true or false");
    }
    rule.disabled = disabled->get_bool();
  }
  const json::value* const actions = find_member(payload, "actions");
  if (actions == nullptr || !actions->is_array()) {
    return invalid("actions must be a list");
  }
  rule.actions = actions->get_array();
  if (const json::value* const error_action = find_member(payload, "errorAction")) {
    IOTCORE_TRY(check_action(*error_action, "errorAction"));
    rule.error_action = error_action->get_object();
  }
  IOTCORE_TRY(validate(rule));
  return rule;
}

json::object to_topic_rule_payload(const RuleDefinition& rule) {
  json::object payload;
  payload["sql"] = rule.sql;
  if (!rule.description.empty()) {
    payload["description"] = rule.description;
  }
  payload["actions"] = rule.actions;
  payload["ruleDisabled"] = rule.disabled;
  payload["awsIotSqlVersion"] = rule.version;
  if (rule.error_action) {
    payload["errorAction"] = *rule.error_action;
  }
  return payload;
}

Status validate(const RuleDefinition& rule, const RuleLimits& limits) {
  const bool is_name = std::all_of(rule.name.begin(), rule.name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
  if (rule.name.empty() || rule.name.size() > kNameMax || !is_name) {
    return invalid("a rule's name has 1 to 128 letters, digits and underscores");
  }
  if (!sql::parse_version(rule.version)) {
    return invalid(
        "awsIotSqlVersion " + rule.version + " is not known; take 2016-03-23 or 2015-10-08"
    );
  }
  if (rule.actions.size() > limits.actions_max) {
    return invalid("a rule has at most " + std::to_string(limits.actions_max) + " actions");
  }
  for (std::size_t i = 0; i < rule.actions.size(); ++i) {
    IOTCORE_TRY(check_action(rule.actions[i], "actions[" + std::to_string(i) + "]"));
  }
  if (rule.error_action) {
    IOTCORE_TRY(check_action(json::value(*rule.error_action), "errorAction"));
  }
  const std::size_t size = to_json(to_topic_rule_payload(rule)).size();
  if (size > limits.document_bytes_max) {
    return invalid(
        "the rule has " + std::to_string(size) + " bytes, more than " +
        std::to_string(limits.document_bytes_max)
    );
  }
  return {};
}

std::string_view action_member(const json::object& action) {
  std::string_view kind;
  kind_member(action, kind);
  return kind;
}

std::string_view action_kind(const json::object& action) {
  std::string_view kind;
  const json::value* const members = kind_member(action, kind);
  if (kind != kOwnActions || members == nullptr || !members->is_object()) {
    return kind;
  }
  const json::value* const type = find_member(members->get_object(), "type");
  if (type == nullptr || !type->is_string()) {
    return kind;
  }
  return {type->get_string().data(), type->get_string().size()};
}

const json::object& action_members(const json::object& action) {
  static const json::object kNone;
  std::string_view kind;
  const json::value* const members = kind_member(action, kind);
  return members != nullptr && members->is_object() ? members->get_object() : kNone;
}

const json::object* action_delivery(const json::object& action) {
  const json::value* const delivery = find_member(action, kDeliveryMember);
  return delivery != nullptr && delivery->is_object() ? &delivery->get_object() : nullptr;
}

}  // namespace iotcore::rules
