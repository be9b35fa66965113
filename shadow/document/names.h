#pragma once

#include "base/result.h"

#include <string_view>

namespace iotcore::shadow::document {

// 1..128 of [a-zA-Z0-9:_-]. A thing need not exist to have shadows.
Status validate_thing_name(std::string_view name);
// 1..64 of [$a-zA-Z0-9:_-].
Status validate_shadow_name(std::string_view name);

// The 404 of every operation. `shadow` is empty for the classic shadow.
Error no_such_shadow(std::string_view thing, std::string_view shadow);

}  // namespace iotcore::shadow::document
