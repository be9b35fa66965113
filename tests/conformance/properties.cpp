#include "tests/conformance/properties.h"

#include "base/bytes.h"
#include "tests/conformance/failure.h"

#include <algorithm>
#include <array>
#include <set>

namespace iotcore::conformance {
namespace {

constexpr std::array kTable = {
    PropertyName{0x01, "format", '1', "PW"},
    PropertyName{0x02, "expiry", '4', "PW"},
    PropertyName{0x03, "content-type", 's', "PW"},
    PropertyName{0x08, "response-topic", 's', "PW"},
    PropertyName{0x09, "correlation", 'b', "PW"},
    PropertyName{0x0B, "sub-id", 'v', "PS"},
    PropertyName{0x11, "session-expiry", '4', "CA"},
    PropertyName{0x12, "assigned-id", 's', "A"},
    PropertyName{0x13, "server-keep", '2', "A"},
    PropertyName{0x15, "auth-method", 's', "CAX"},
    PropertyName{0x16, "auth-data", 'b', "CAX"},
    PropertyName{0x17, "request-problem", '1', "C"},
    PropertyName{0x18, "delay", '4', "W"},
    PropertyName{0x19, "request-response", '1', "C"},
    PropertyName{0x1A, "response-info", 's', "A"},
    PropertyName{0x1C, "server-ref", 's', "AD"},
    PropertyName{0x1F, "reason-string", 's', "AKBNDX"},
    PropertyName{0x21, "receive-max", '2', "CA"},
    PropertyName{0x22, "alias-max", '2', "CA"},
    PropertyName{0x23, "alias", '2', "P"},
    PropertyName{0x24, "max-qos", '1', "A"},
    PropertyName{0x25, "retain-available", '1', "A"},
    PropertyName{0x26, "user", 'p', "CAPWKSBUNDX"},
    PropertyName{0x27, "max-packet", '4', "CA"},
    PropertyName{0x28, "wildcard-available", '1', "A"},
    PropertyName{0x29, "sub-id-available", '1', "A"},
    PropertyName{0x2A, "shared-available", '1', "A"},
};

std::string take_property_value(std::string_view& rest, char type) {
  switch (type) {
    case '1':
    case '2':
    case '4':
      return std::to_string(take_integer(rest, static_cast<std::size_t>(type - '0')));
    case 'v':
      return std::to_string(take_variable(rest));
    case 's':
      return take_text(rest);
    case 'b':
      return take_bytes(rest, take_integer(rest, 2));
    default: {
      std::string name = take_text(rest);
      return name + ':' + take_text(rest);
    }
  }
}

}  // namespace

const PropertyName* find_property(std::string_view name) {
  const auto* const found =
      std::find_if(kTable.begin(), kTable.end(), [name](const auto& p) { return p.name == name; });
  return found == kTable.end() ? nullptr : found;
}

std::string encode_property(const PropertyName& property, std::string_view value) {
  std::string out(1, static_cast<char>(property.id));
  switch (property.type) {
    case '1':
    case '2':
    case '4':
      return out + encode_integer(number_of(value), static_cast<std::size_t>(property.type - '0'));
    case 'v':
      return out + encode_variable(number_of(value));
    case 'p': {
      const std::size_t colon = value.find(':');
      return out + encode_text(value.substr(0, colon)) +
             encode_text(colon == std::string_view::npos ? "" : value.substr(colon + 1));
    }
    default:
      return out + encode_text(value);
  }
}

void read_properties(std::string_view& rest, char where, Fields& fields) {
  const unsigned long size = take_variable(rest);
  if (size > rest.size()) {
    throw Failure("the server's properties go beyond their packet");
  }
  std::string_view block = rest.substr(0, size);
  rest.remove_prefix(size);
  std::set<unsigned> seen;
  while (!block.empty()) {
    const auto id = static_cast<unsigned>(take_integer(block, 1));
    const auto* const property =
        std::find_if(kTable.begin(), kTable.end(), [id](const auto& p) { return p.id == id; });
    if (property == kTable.end() || property->where.find(where) == std::string_view::npos) {
      throw Failure("the server sent property " + hex_byte(id) + " where it is not allowed");
    }
    if (!seen.insert(id).second && property->name != "user" && property->name != "sub-id") {
      throw Failure("the server sent property " + std::string(property->name) + " twice");
    }
    fields.push_back({std::string(property->name), take_property_value(block, property->type)});
  }
}

std::string encode_variable(unsigned long value) {
  std::string out;
  do {
    const unsigned long low = value & 0x7FU;
    value >>= 7U;
    out.push_back(static_cast<char>(value != 0 ? low | 0x80U : low));
  } while (value != 0);
  return out;
}

unsigned long take_variable(std::string_view& rest) {
  unsigned long value = 0;
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned long byte = take_integer(rest, 1);
    value |= (byte & 0x7FU) << (7 * i);
    if (byte < 0x80) {
      if (byte == 0 && i > 0) {
        throw Failure("the server sent a variable byte integer with a needless byte");
      }
      return value;
    }
  }
  throw Failure("the server sent a variable byte integer of more than four bytes");
}

unsigned long take_integer(std::string_view& rest, std::size_t bytes) {
  unsigned long value = 0;
  for (const char c : take_bytes(rest, bytes)) {
    value = value << 8U | static_cast<unsigned char>(c);
  }
  return value;
}

std::string take_bytes(std::string_view& rest, std::size_t count) {
  if (count > rest.size()) {
    throw Failure("the server's packet ends too early");
  }
  std::string out(rest.substr(0, count));
  rest.remove_prefix(count);
  return out;
}

std::string take_text(std::string_view& rest) {
  std::string out = take_bytes(rest, take_integer(rest, 2));
  if (!is_valid_utf8(out) || out.find('\0') != std::string::npos) {
    throw Failure("the server sent a text that is not UTF-8: " + printable(out));
  }
  return out;
}

std::string encode_integer(unsigned long value, std::size_t bytes) {
  std::string out(bytes, '\0');
  for (std::size_t i = bytes; i > 0; --i) {
    out[i - 1] = static_cast<char>(value & 0xFFU);
    value >>= 8U;
  }
  return out;
}

std::string encode_text(std::string_view text) {
  if (text.size() > 65535) {
    throw Failure("a text of more than 65535 bytes");
  }
  return encode_integer(text.size(), 2) + std::string(text);
}

}  // namespace iotcore::conformance
