#pragma once

#include "base/result.h"

#include <string>

namespace iotcore::rules {

// docs/sql.md: the functions of the dialect, of the list by which they are called, and examples with what they come to; and the actions. An error: an example that does not
// run, or a function that has none.
Result<std::string> sql_page();

}  // namespace iotcore::rules
