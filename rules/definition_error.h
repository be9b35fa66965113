#pragma once

#include "base/result.h"

#include <string>
#include <utility>

namespace iotcore::rules {

// What is wrong with a rule, and with which member of its TopicRulePayload ("/actions/0/republish/topic"; empty: the whole).
struct DefinitionError {
  Errc code = Errc::kInvalidRequest;
  std::string pointer;
  std::string message;
};

template <typename T>
using Checked = tl::expected<T, DefinitionError>;

inline Error to_error(const DefinitionError& error) {
  // AWS names a member without the leading slash.
  return Error(
      error.code,
      error.pointer.empty() ? error.message : error.pointer.substr(1) + ": " + error.message
  );
}

}  // namespace iotcore::rules
