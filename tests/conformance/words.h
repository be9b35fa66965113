#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// How a step is written: words between blanks, of which some are key=value, and values of bytes.
namespace iotcore::conformance {

// What a case's text is completed with: `~` stands for its own prefix, `%name` for a variable.
struct Names {
  std::string prefix;
  std::map<std::string, std::string> variables;
};

struct Field {
  std::string key;
  std::string value;  // with ~ and %name filled in, and bytes computed
  bool literal =
      true;  // given as plain text, so that `*`, `|` and `..` mean something in expectations
};

using Fields = std::vector<Field>;

// Splits at blanks outside of quotes and braces.
std::vector<std::string> split_words(std::string_view line);

// Bytes: hex digits, "text", s"text" (two-byte length in front), b{…} (the same around bytes),
// len{…} (variable byte integer in front), {…}; each may be followed by *count.
std::string read_bytes(std::string_view text, const Names& names);

// plain, "quoted" or {bytes}.
std::string read_value(std::string_view text, const Names& names, bool& literal);

// key=value, key (an empty value), !key (kept as the key).
Fields read_fields(const std::vector<std::string>& words, std::size_t from, const Names& names);

const Field* find_field(const Fields& fields, std::string_view key);
std::string field_or(const Fields& fields, std::string_view key, std::string_view absent);

// For messages: printable characters as they are, the rest as \xHH, cut when it is long.
std::string printable(std::string_view bytes);

std::string hex_byte(unsigned value);
unsigned long number_of(std::string_view text);

}  // namespace iotcore::conformance
