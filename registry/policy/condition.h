#pragma once

#include "registry/policy/context.h"
#include "registry/policy/document.h"

#include <string>
#include <string_view>
#include <vector>

namespace iotcore::registry::policy {

// Whether a condition holds. Names of variables and keys without value that made it fail are
// appended to `missing`.
bool holds(
    const Condition& condition,
    bool has_variables,
    const Context& context,
    std::vector<std::string>& missing
);

// Whether the answer may change while a connection lives: it asks for the time.
bool depends_on_time(const Condition& condition, bool has_variables);

}  // namespace iotcore::registry::policy
