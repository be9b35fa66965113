#pragma once

#include "tests/conformance/words.h"

#include <string>
#include <string_view>

// The properties of MQTT 5 by the names that cases use.
namespace iotcore::conformance {

// Where a property may stand: C(onnect), A (connack), P(ublish), W(ill), K (puback to pubcomp), S(ubscribe), B (suback), U(nsubscribe), N (unsuback), D(isconnect), X (auth).
struct PropertyName {
  unsigned id;
  std::string_view name;
  char
      type;  // 1, 2, 4: integer of so many bytes; v: variable byte integer; s: text; b: binary; p: pair
  std::string_view where;
};

const PropertyName* find_property(std::string_view name);

// One property as bytes.
std::string encode_property(const PropertyName& property, std::string_view value);

// Reads a block of properties, its length in front, that a server may send at `where`; appends a field for each.
void read_properties(std::string_view& rest, char where, Fields& fields);

std::string encode_variable(unsigned long value);
// The integers of the front, taken off it; throw when there are too few bytes.
unsigned long take_variable(std::string_view& rest);
unsigned long take_integer(std::string_view& rest, std::size_t bytes);
std::string take_bytes(std::string_view& rest, std::size_t count);
std::string take_text(std::string_view& rest);
std::string encode_integer(unsigned long value, std::size_t bytes);
std::string encode_text(std::string_view text);

}  // namespace iotcore::conformance
