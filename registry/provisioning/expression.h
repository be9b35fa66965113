#pragma once

#include "base/json.h"
#include "base/result.h"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

// The functions of provisioning templates: Ref, Fn::Join, Fn::Select, Fn::Split, Fn::Sub and Fn::FindInMap. Pure.
namespace iotcore::registry::provisioning {

// What stands behind a name of a parameter; nothing if it has no value.
using Lookup = std::function<std::optional<std::string>(std::string_view)>;

struct Environment {
  Lookup parameter;
  const json::object& mappings;
};

// The value with all functions in it replaced by what they give. kInvalidRequest.
Result<json::value> evaluate(const json::value& value, const Environment& environment);

// The name of the function if the value is a call of one: an object with one such key.
std::optional<std::string_view> function_of(const json::value& value);

}  // namespace iotcore::registry::provisioning
