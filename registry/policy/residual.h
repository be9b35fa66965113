#pragma once

#include "registry/policy/pattern.h"

#include <optional>
#include <string_view>
#include <vector>

namespace iotcore::registry::policy {

// What is left of a pattern once it has matched `prefix`: `pattern` matches prefix + x exactly if
// one of the results matches x. Most patterns leave one or none; wildcards in the prefix leave
// several. nullopt: a variable stands where the prefix must match, so it cannot be told before its
// value is known.
std::optional<std::vector<Pattern>> residuals(const Pattern& pattern, std::string_view prefix);

}  // namespace iotcore::registry::policy
