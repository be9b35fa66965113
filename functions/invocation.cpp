#include "functions/invocation.h"

#include "base/json.h"

namespace iotcore::functions {

std::string describe_error(const Answer& answer) {
  constexpr std::size_t kTextBytesMax = 1000;
  const Result<json::value> error = parse_json(answer.payload);
  if (!error || !error->is_object()) {
    return answer.payload.substr(0, kTextBytesMax);
  }
  const auto text = [&error](std::string_view name) {
    const json::value* member = find_member(error->get_object(), name);
    return member != nullptr && member->is_string() ? std::string(member->get_string())
                                                    : std::string();
  };
  const std::string type = text("errorType");
  const std::string message = text("errorMessage");
  const std::string all = type.empty() ? message : message.empty() ? type : type + ": " + message;
  return all.substr(0, kTextBytesMax);
}

}  // namespace iotcore::functions
