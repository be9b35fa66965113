#include "shadow/document/json_equality.h"

#include <algorithm>

namespace iotcore::shadow::document {
namespace {

bool equal_arrays(const json::array& a, const json::array& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), equal_json);
}

bool equal_objects(const json::object& a, const json::object& b) {
  return a.size() == b.size() && std::all_of(a.begin(), a.end(), [&b](const auto& member) {
           const json::value* other = b.if_contains(member.key());
           return other != nullptr && equal_json(member.value(), *other);
         });
}

}  // namespace

bool equal_json(const json::value& a, const json::value& b) {
  if (a.is_array() && b.is_array()) {
    return equal_arrays(a.get_array(), b.get_array());
  }
  if (a.is_object() && b.is_object()) {
    return equal_objects(a.get_object(), b.get_object());
  }
  if (a.is_number() && b.is_number() && (a.is_double() || b.is_double())) {
    return a.to_number<double>() == b.to_number<double>();
  }
  return a == b;
}

}  // namespace iotcore::shadow::document
