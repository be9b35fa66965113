#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace iotcore::registry::policy {

// A key that some object of the text (which is JSON) has twice: a reader would see only one of the
// two values.
std::optional<std::string> find_duplicate_key(std::string_view text);

}  // namespace iotcore::registry::policy
