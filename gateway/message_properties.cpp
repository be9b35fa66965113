#include "gateway/message_properties.h"

#include "base/json.h"
#include "broker/mqtt/text.h"

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
    const json::string& text_of = member.value().get_string();
    const std::string_view name(member.key().data(), member.key().size());
    const std::string_view value(text_of.data(), text_of.size());
    IOTCORE_TRY(check_property_text("x-amz-mqtt5-user-properties", name));
    IOTCORE_TRY(check_property_text("x-amz-mqtt5-user-properties", value));
    broker::mqtt::append_user_property(block, name, value);
  }
  return {};
}

Status check_property_text(std::string_view name, std::string_view text) {
  constexpr std::size_t kTextMax = 65'535;
  if (text.size() > kTextMax || !broker::mqtt::is_mqtt_text(text)) {
    return fail(
        Errc::kInvalidRequest,
        std::string(name) + " is not UTF-8, has U+0000, or is longer than 65535 bytes"
    );
  }
  return {};
}

}  // namespace iotcore::gateway
