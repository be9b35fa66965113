#pragma once

#include "base/result.h"

#include <string>

namespace iotcore::rules {

// Of docs/sql.md: every kind of action, the least that it takes, and all that its parser reads. An error: a kind that has no example, or one that is not right.
Result<std::string> actions_page();

}  // namespace iotcore::rules
