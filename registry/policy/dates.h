#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace iotcore::registry::policy {

// ISO 8601 as the W3C profile has it (YYYY, YYYY-MM, YYYY-MM-DD, with Thh:mm[:ss[.f]] and Z or
// ±hh:mm; no zone = UTC), or seconds since the epoch, which have other than four digits.
// Milliseconds since the epoch.
std::optional<std::int64_t> parse_date_ms(std::string_view text);

}  // namespace iotcore::registry::policy
