#include "server/rule_functions.h"

#include "shadow/service.h"

#include <algorithm>

namespace iotcore::server {

Result<std::string> RuleFunctions::call(std::string_view function, const json::array& arguments) {
  if (function != "get_thing_shadow") {
    return rules::sql::NoExternalFunctions().call(function, arguments);
  }
  const bool texts = std::all_of(arguments.begin(), arguments.end(), [](const json::value& each) {
    return each.is_string();
  });
  if (!texts || arguments.size() < 2) {
    return fail(Errc::kInvalidRequest, "get_thing_shadow takes names, which are strings");
  }
  const auto text = [&](std::size_t i) { return std::string_view(arguments[i].get_string()); };
  return shadows_.read_committed(
      {ThingName(text(0)), shadow::ShadowName(arguments.size() > 2 ? text(1) : std::string_view())}
  );
}

}  // namespace iotcore::server
