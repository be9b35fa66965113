#include "gateway/message_properties.h"

#include "base/json.h"

namespace iotcore::gateway {

Status append_user_properties(std::string& block, std::string_view text) {
  const auto wrong = [] {
    return fail(
        Errc::kInvalidRequest,
        "x-amz-mqtt5-user-properties is not a JSON array of objects with one text each"
    );
  };
  const Result<json::value> parsed = parse_json(text);
  if (!parsed || !parsed->is_array()) {
    return wrong();
  }
  for (const json::value& element : parsed->get_array()) {
    if (!element.is_object() || element.get_object().size() != 1) {
      return wrong();
    }
    const auto& member = *element.get_object().begin();
    if (!member.value().is_string()) {
      return wrong();
    }
    const json::string& value = member.value().get_string();
    broker::mqtt::append_user_property(
        block, {member.key().data(), member.key().size()}, {value.data(), value.size()}
    );
  }
  return {};
}

}  // namespace iotcore::gateway
