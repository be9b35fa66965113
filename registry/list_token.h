#pragma once

#include "base/crypto.h"
#include "base/result.h"

#include <string>
#include <string_view>

namespace iotcore::registry {

// The token of a list that is read whole, or by its owner: the last name that was shown, behind the kind of the list, so that one that is made up or
// belongs to another list is refused.
inline std::string list_token(std::string_view kind, std::string_view last) {
  return to_base64(std::string(kind) + "/" + std::string(last));
}

// The name in it; kInvalidRequest.
inline Result<std::string> name_in_token(std::string_view kind, std::string_view token) {
  const auto text = from_base64(token);
  const std::string start = std::string(kind) + "/";
  if (!text || !text->starts_with(start) || text->size() == start.size()) {
    return fail(Errc::kInvalidRequest, "Invalid pagination token");
  }
  return text->substr(start.size());
}

}  // namespace iotcore::registry
