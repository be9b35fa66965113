#pragma once

#include <string_view>

namespace iotcore::rules::sql {

// Why a text is not an MQTT topic filter (MQTT5 4.7), or empty.
std::string_view topic_filter_problem(std::string_view filter);

}  // namespace iotcore::rules::sql
