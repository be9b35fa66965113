#pragma once

#include "rules/definition_error.h"
#include "rules/rule_definition.h"

#include <optional>
#include <span>
#include <string>

namespace iotcore::rules {

// Whether each role that an action of the rule names is one of `roles`; where there are none, any role will do. Asked when a rule is written, as AWS does:
// one that is there runs on.
std::optional<DefinitionError> check_roles(
    const RuleDefinition& rule, std::span<const std::string> roles
);

}  // namespace iotcore::rules
