#include "registry/policy/evaluate.h"

#include "registry/policy/action.h"
#include "registry/policy/condition.h"
#include "registry/policy/pattern.h"
#include "registry/policy/text.h"

#include <algorithm>
#include <optional>

namespace iotcore::registry::policy {
namespace {

bool names_action(const Statement& statement, std::string_view action) {
  return std::any_of(
      statement.actions.begin(),
      statement.actions.end(),
      [&](const std::string& text) {
        return matches(parse_pattern(lower(text), false), lower(action));
      }
  );
}

bool action_matches(const Statement& statement, std::string_view action) {
  const std::optional<Action> known = find_action(action);
  const std::string_view old_name = known ? action_info(*known).old_name : std::string_view();
  const bool named =
      names_action(statement, action) || (!old_name.empty() && names_action(statement, old_name));
  return named != statement.not_action;
}

// For which of the resources the statement speaks does not matter: one is enough.
bool resource_matches(
    const Statement& statement,
    bool has_variables,
    const Context& context,
    std::span<const std::string_view> resources,
    std::vector<std::string>& missing
) {
  std::vector<Pattern> patterns;
  bool complete = true;
  for (const std::string& text : statement.resources) {
    if (auto pattern = put_in_values(parse_pattern(text, has_variables), context, missing)) {
      patterns.push_back(std::move(*pattern));
    } else {
      complete = false;
    }
  }
  return complete &&
         std::any_of(resources.begin(), resources.end(), [&](std::string_view resource) {
           const bool listed = std::any_of(patterns.begin(), patterns.end(), [&](const Pattern& p) {
             return matches(p, resource);
           });
           return listed != statement.not_resource;
         });
}

bool conditions_hold(
    const Statement& statement,
    bool has_variables,
    const Context& context,
    std::vector<std::string>& missing
) {
  bool result = true;
  for (const Condition& condition : statement.conditions) {
    result = holds(condition, has_variables, context, missing) && result;
  }
  return result;
}

bool statement_matches(
    const Statement& statement,
    bool has_variables,
    const Context& context,
    std::string_view action,
    std::span<const std::string_view> resources,
    std::vector<std::string>& missing
) {
  if (!action_matches(statement, action)) {
    return false;
  }
  const bool resource = resource_matches(statement, has_variables, context, resources, missing);
  return conditions_hold(statement, has_variables, context, missing) && resource;
}

void sort_and_unite(std::vector<std::string>& names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
}

}  // namespace

Explanation evaluate(
    std::span<const NamedDocument> policies,
    const Context& context,
    std::string_view action,
    std::span<const std::string_view> resources
) {
  Explanation result;
  for (std::size_t p = 0; p < policies.size(); ++p) {
    const Document& document = policies[p].document;
    bool allows = false;
    bool denies = false;
    for (std::size_t s = 0; s < document.statements.size(); ++s) {
      const Statement& statement = document.statements[s];
      std::vector<std::string> missing;
      if (!statement_matches(
              statement, document.has_variables, context, action, resources, missing
          )) {
        result.missing_values.insert(result.missing_values.end(), missing.begin(), missing.end());
        continue;
      }
      (statement.effect == Effect::kDeny ? denies : allows) = true;
      const Verdict verdict =
          statement.effect == Effect::kDeny ? Verdict::kExplicitDeny : Verdict::kAllowed;
      // The first statement of the weightiest kind decides.
      const bool outweighs = result.decision.verdict == Verdict::kImplicitDeny ||
                             (verdict == Verdict::kExplicitDeny && result.decision.allowed());
      if (outweighs) {
        result.decision = {verdict, static_cast<std::uint16_t>(p), static_cast<std::uint16_t>(s)};
        result.policy_name = policies[p].name;
        result.sid = statement.sid;
      }
    }
    if (allows) {
      result.allowing.push_back(policies[p].name);
    }
    if (denies) {
      result.denying.push_back(policies[p].name);
    }
    if (!allows && !denies) {
      result.silent.push_back(policies[p].name);
    }
  }
  sort_and_unite(result.missing_values);
  return result;
}

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::kAllowed:
      return "ALLOWED";
    case Verdict::kImplicitDeny:
      return "IMPLICIT_DENY";
    case Verdict::kExplicitDeny:
      return "EXPLICIT_DENY";
  }
  return {};
}

}  // namespace iotcore::registry::policy
