#include "shadow/document/names.h"

#include <algorithm>
#include <string>

namespace iotcore::shadow::document {
namespace {

constexpr std::size_t kThingNameMax = 128;
constexpr std::size_t kShadowNameMax = 64;

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == ':' ||
         c == '_' || c == '-';
}

}  // namespace

Status validate_thing_name(std::string_view name) {
  if (name.empty() || name.size() > kThingNameMax ||
      !std::all_of(name.begin(), name.end(), is_name_character)) {
    return fail(
        Errc::kInvalidRequest,
        "Invalid thing name: it must have 1 to 128 characters of a-z, A-Z, 0-9, ':', '_' and '-'"
    );
  }
  return {};
}

Status validate_shadow_name(std::string_view name) {
  const auto legal = [](char c) { return c == '$' || is_name_character(c); };
  if (name.empty() || name.size() > kShadowNameMax ||
      !std::all_of(name.begin(), name.end(), legal)) {
    return fail(
        Errc::kInvalidRequest,
        "Invalid shadow name: it must have 1 to 64 characters of a-z, A-Z, 0-9, '$', ':', '_' and "
        "'-'"
    );
  }
  return {};
}

Error no_such_shadow(std::string_view thing, std::string_view shadow) {
  std::string message = "No shadow exists with name: '";
  message.append(thing);
  if (!shadow.empty()) {
    message.append("~").append(shadow);
  }
  message.append("'");
  return {Errc::kNotFound, std::move(message)};
}

}  // namespace iotcore::shadow::document
