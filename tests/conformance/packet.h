#pragma once

#include "tests/conformance/words.h"

#include <optional>
#include <string>
#include <string_view>

// Packets as words and fields, read and written without the server's own codec, so that an error there is not mirrored here.
namespace iotcore::conformance {

enum class Version { k3 = 4, k5 = 5 };

struct Packet {
  std::string type;  // connack, publish, …
  Fields fields;     // numbers in decimal, reasons as two hex digits, texts as they are

  std::string text() const;
};

// Writes what a client sends, as asked, right or wrong. `bits=` sets the low half of the first byte.
std::string encode(const std::string& type, const Fields& fields, Version version);

// Cuts the first whole packet off the front of `bytes`, and reads it strictly as one of the server's. Throws when it is not well formed.
std::optional<Packet> take_packet(std::string& bytes, Version version);

}  // namespace iotcore::conformance
