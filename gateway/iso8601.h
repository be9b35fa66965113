#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace iotcore::gateway {

// "2023-11-14T22:13:21.500000Z", with any number of fraction digits or none, in milliseconds since
// 1970.
std::optional<std::int64_t> parse_iso8601_ms(std::string_view text);

}  // namespace iotcore::gateway
