#pragma once

#include <cstddef>
#include <string>
#include <string_view>

// Text as a Java program counts it: in UTF-16 units, over valid UTF-8.
namespace iotcore::rules::sql {

// No function makes a longer text.
inline constexpr std::size_t kTextMax = 4U << 20;

std::size_t utf16_length(std::string_view text);
// Units from..to; half a surrogate pair is U+FFFD.
std::string utf16_slice(std::string_view text, std::size_t from, std::size_t to);

// Unicode's mapping, of no language.
std::string to_lower(std::string_view text);
std::string to_upper(std::string_view text);
std::string_view trim_white_space(std::string_view text);

}  // namespace iotcore::rules::sql
