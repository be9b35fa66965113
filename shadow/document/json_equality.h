#pragma once

#include "base/json.h"

namespace iotcore::shadow::document {

// Same type and value; numbers by value, arrays in order, objects in any.
bool equal_json(const json::value& a, const json::value& b);

}  // namespace iotcore::shadow::document
