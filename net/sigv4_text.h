#pragma once

#include "base/clock.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

// The small texts that both sides of SigV4 read and write.
namespace iotcore::net {

inline constexpr std::string_view kSigV4Algorithm = "AWS4-HMAC-SHA256";
inline constexpr std::string_view kSigV4Terminator = "aws4_request";

std::string to_lower(std::string_view text);
// Empty parts included.
std::vector<std::string_view> split(std::string_view text, char separator);
// Decimal digits and nothing else.
std::optional<int> parse_digits(std::string_view text);

// YYYYMMDDTHHMMSSZ
std::optional<WallTime> parse_amz_date(std::string_view text);
std::string to_amz_date(WallTime time);

}  // namespace iotcore::net
