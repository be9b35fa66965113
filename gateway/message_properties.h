#pragma once

#include "base/result.h"
#include "broker/message_limits.h"
#include "broker/mqtt/properties.h"
#include "broker/options.h"
#include "broker/topic.h"

#include <string>
#include <string_view>

namespace iotcore::gateway {

// Appends the header x-amz-mqtt5-user-properties, `[{"a":"1"},{"a":"2"}]`, to a block of properties.
Status append_user_properties(std::string& block, std::string_view json);

// What MQTT can carry as a text: well-formed UTF-8 without U+0000, of at most 65,535 bytes (MQTT5 1.5.4).
Status check_property_text(std::string_view name, std::string_view text);

// The properties that travel with a message, encoded, of a request that has them: Publish, SendDirectMessage.
template <typename Request>
Result<std::string> forwarded_properties(
    const Request& request, const broker::BrokerOptions& options
) {
  using broker::mqtt::Property;
  constexpr std::size_t kBinaryMax = 65'535;  // MQTT5 1.5.6
  std::string repeated;
  if (request.has_user_properties()) {
    IOTCORE_TRY(append_user_properties(repeated, request.user_properties()));
  }
  broker::mqtt::PropertiesView properties;
  properties.set_repeated(repeated);
  if (request.payload_format_indicator() == "UTF8_DATA") {
    properties.set(Property::kPayloadFormatIndicator, 1);
  }
  if (request.has_content_type()) {
    IOTCORE_TRY(check_property_text("contentType", request.content_type()));
    properties.set(Property::kContentType, request.content_type());
  }
  if (request.has_response_topic()) {
    if (!broker::is_valid_topic(request.response_topic(), broker::topic_limits(options))) {
      return fail(Errc::kInvalidRequest, "responseTopic is not a valid topic");
    }
    properties.set(Property::kResponseTopic, request.response_topic());
  }
  if (request.has_correlation_data()) {
    if (request.correlation_data().size() > kBinaryMax) {
      return fail(Errc::kInvalidRequest, "correlationData is longer than 65535 bytes");
    }
    properties.set(Property::kCorrelationData, request.correlation_data());
  }
  if (const auto refusal = broker::check_message(request.payload(), properties, options)) {
    return fail(Errc::kInvalidRequest, std::string("Invalid message: ").append(refusal->why));
  }
  std::string forwarded;
  broker::mqtt::append_forwarded_properties(forwarded, properties);
  return forwarded;
}

}  // namespace iotcore::gateway
