#include "functions/definition.h"

#include <algorithm>

namespace iotcore::functions {
namespace {

constexpr std::string_view kFunction = "function:";
constexpr std::size_t kNameBytesMax = 140;  // AWS's, of the name in an ARN

bool is_word(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  });
}

}  // namespace

FunctionName parse_function_name(std::string_view text) {
  // What stands before says whose function it is: there is one account here.
  if (text.starts_with("arn:") || text.find(":function:") != std::string_view::npos) {
    const std::size_t at = text.find(":function:");
    if (at == std::string_view::npos) {
      return {};
    }
    text.remove_prefix(at + 1);
  }
  if (text.starts_with(kFunction)) {
    text.remove_prefix(kFunction.size());
  }
  const std::size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  const std::string_view qualifier =
      colon == std::string_view::npos ? std::string_view() : text.substr(colon + 1);
  const bool bad_qualifier =
      colon != std::string_view::npos && qualifier != "$LATEST" && !is_word(qualifier);
  if (!is_word(name) || name.size() > kNameBytesMax || bad_qualifier) {
    return {};
  }
  return {std::string(name), std::string(qualifier)};
}

}  // namespace iotcore::functions
