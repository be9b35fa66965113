#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace iotcore {

namespace json = boost::json;

struct JsonLimits {
  std::size_t bytes_max = 16U << 20;
  std::size_t depth_max = 64;
};

// One JSON text, whole: strict RFC 8259, valid UTF-8, the last of duplicate keys wins. kTooLarge, kMalformedJson (with the byte offset).
// `memory` may be a boost::json::monotonic_resource that outlives the value.
Result<json::value> parse_json(
    std::string_view text, const JsonLimits& limits = {}, json::storage_ptr memory = {}
);

// Compact text. Doubles print as the shortest text that reads back the same, in plain digits where that is short
// ("21.375", "1.0", "1.0E-7"): Boost.JSON itself would write "2.1375E1".
void append_json(std::string& out, const json::value& value);
void append_json_string(std::string& out, std::string_view text);
void append_json_number(std::string& out, double number);
std::string to_json(const json::value& value);

// The member of that name, or nullptr.
const json::value* find_member(const json::object& object, std::string_view name);

}  // namespace iotcore
