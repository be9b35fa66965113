#pragma once

#include <string_view>

namespace iotcore::rules::sql {

// Why a text is not an MQTT topic filter (MQTT5 4.7), or empty.
std::string_view topic_filter_problem(std::string_view filter);

// Whether a topic that begins without $ is among those the filter names; for tests of rules. Live
// messages are matched by the broker's topic tree.
bool topic_matches(std::string_view filter, std::string_view topic);

}  // namespace iotcore::rules::sql
