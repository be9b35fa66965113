#include "broker/message_limits.h"

#include "base/bytes.h"

#include <algorithm>

namespace iotcore::broker {
namespace {

using mqtt::Property;

std::size_t user_property_bytes(const mqtt::PropertiesView& properties) {
  std::size_t bytes = 0;
  properties.for_each_user_property([&bytes](const mqtt::UserPropertyView& property) {
    bytes += property.name.size() + property.value.size();
  });
  return bytes;
}

}  // namespace

std::optional<MessageRefusal> check_message(
    std::string_view payload, const mqtt::PropertiesView& properties, const BrokerOptions& options
) {
  if (payload.size() > options.payload_bytes_max) {
    return MessageRefusal{Errc::kPacketTooLarge, "the payload is too large", Limit::kPayload};
  }
  if (properties.empty()) {
    return std::nullopt;
  }
  if (properties.text_or(Property::kContentType, {}).size() > options.content_type_bytes_max) {
    return MessageRefusal{
        Errc::kQuotaExceeded, "the content type is too long", Limit::kContentType};
  }
  if (properties.text_or(Property::kCorrelationData, {}).size() >
      options.correlation_data_bytes_max) {
    return MessageRefusal{
        Errc::kQuotaExceeded, "the correlation data is too long", Limit::kCorrelationData};
  }
  // The encoded block is longer than what is counted.
  if (properties.repeated().size() > options.user_properties_bytes_max &&
      user_property_bytes(properties) > options.user_properties_bytes_max) {
    return MessageRefusal{
        Errc::kQuotaExceeded, "the user properties are too large", Limit::kUserProperties};
  }
  if (options.validate_payload_format &&
      properties.number_or(Property::kPayloadFormatIndicator, 0) == 1 && !is_valid_utf8(payload)) {
    return MessageRefusal{Errc::kPayloadFormatInvalid, "the payload is not UTF-8 as it says"};
  }
  return std::nullopt;
}

std::uint32_t message_expiry_s(std::uint32_t wanted_s, const BrokerOptions& options) {
  constexpr std::uint32_t kAny = 0xFFFF'FFFF;
  return options.message_expiry_s_max == kAny
             ? wanted_s
             : std::clamp<std::uint32_t>(wanted_s, 1, options.message_expiry_s_max);
}

}  // namespace iotcore::broker
