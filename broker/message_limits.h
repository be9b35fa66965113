#pragma once

#include "broker/limits.h"
#include "broker/mqtt/properties.h"
#include "broker/options.h"
#include "broker/topic.h"

#include <optional>
#include <string_view>

namespace iotcore::broker {

// Why a message is refused that the standard would allow.
struct MessageRefusal {
  Errc code = Errc::kQuotaExceeded;
  const char* why = nullptr;
  std::optional<Limit> limit = {};
};

// Payload and properties of a publish or a will, held against the limits. Pure.
std::optional<MessageRefusal> check_message(
    std::string_view payload, const mqtt::PropertiesView& properties, const BrokerOptions& options
);

inline TopicLimits topic_limits(const BrokerOptions& options) {
  return {options.topic_bytes_max, options.topic_levels_max, options.share_name_bytes_max};
}

// The expiry that a message gets when it asks for `wanted_s` (mqtt.md 3).
std::uint32_t message_expiry_s(std::uint32_t wanted_s, const BrokerOptions& options);

}  // namespace iotcore::broker
