#include "rules/rule_roles.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace iotcore::rules {
namespace {

// Within an action's members, where they name a role.
constexpr auto kPlaces = std::to_array<std::string_view>({"/roleArn", "/auth/sigv4/roleArn"});

std::optional<DefinitionError> check_action(
    const json::object& action, const std::string& pointer, std::span<const std::string> roles
) {
  const std::string_view kind = action_kind(action);
  const json::value members = action_members(action);
  for (const std::string_view place : kPlaces) {
    boost::system::error_code absent;
    const json::value* role = members.find_pointer(place, absent);
    if (role == nullptr) {
      continue;
    }
    const std::string arn = role->is_string() ? std::string(role->get_string()) : to_json(*role);
    if (std::ranges::find(roles, arn) == roles.end()) {
      return DefinitionError{
          Errc::kInvalidRequest,
          fmt::format("{}/{}{}", pointer, kind, place),
          fmt::format(
              "action '{}' may not have the role '{}': rules.roles does not list it", kind, arn
          )};
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<DefinitionError> check_roles(
    const RuleDefinition& rule, std::span<const std::string> roles
) {
  if (roles.empty()) {
    return std::nullopt;
  }
  for (std::size_t i = 0; i < rule.actions.size(); ++i) {
    const json::object* action = rule.actions[i].if_object();
    if (action == nullptr) {
      continue;  // validate() says so
    }
    if (auto error = check_action(*action, fmt::format("/actions/{}", i), roles)) {
      return error;
    }
  }
  return rule.error_action ? check_action(*rule.error_action, "/errorAction", roles) : std::nullopt;
}

}  // namespace iotcore::rules
