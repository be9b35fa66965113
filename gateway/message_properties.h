#pragma once

#include "base/result.h"
#include "broker/mqtt/properties.h"
#include "broker/topic.h"

#include <string>
#include <string_view>

namespace iotcore::gateway {

// Appends the header x-amz-mqtt5-user-properties, `[{"a":"1"},{"a":"2"}]`, to a block of properties.
Status append_user_properties(std::string& block, std::string_view json);

// The properties that travel with a message, encoded, of a request that has them: Publish, SendDirectMessage.
template <typename Request>
Result<std::string> forwarded_properties(
    const Request& request, const broker::TopicLimits& limits
) {
  using broker::mqtt::Property;
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
    properties.set(Property::kContentType, request.content_type());
  }
  if (request.has_response_topic()) {
    if (!broker::is_valid_topic(request.response_topic(), limits)) {
      return fail(Errc::kInvalidRequest, "responseTopic is not a valid topic");
    }
    properties.set(Property::kResponseTopic, request.response_topic());
  }
  if (request.has_correlation_data()) {
    properties.set(Property::kCorrelationData, request.correlation_data());
  }
  std::string forwarded;
  broker::mqtt::append_forwarded_properties(forwarded, properties);
  return forwarded;
}

}  // namespace iotcore::gateway
