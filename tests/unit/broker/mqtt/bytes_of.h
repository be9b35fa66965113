#pragma once

#include "broker/mqtt/properties.h"

#include <cstdint>
#include <string>
#include <string_view>

// Packets spelled out by hand, so that the decoder is not tested with the encoder alone.
namespace iotcore::broker::mqtt {

// "30 0a 'topic'" is 0x30 0x0a and five letters: pairs of hex digits, letters in quotes, blanks
// ignored.
inline std::string bytes_of(std::string_view spelled) {
  const auto digit = [](char c) {
    return static_cast<unsigned>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
  };
  std::string out;
  for (std::size_t i = 0; i < spelled.size(); ++i) {
    if (spelled[i] == '\'') {
      for (++i; spelled[i] != '\''; ++i) {
        out.push_back(spelled[i]);
      }
    } else if (spelled[i] != ' ') {
      out.push_back(static_cast<char>((digit(spelled[i]) << 4U) | digit(spelled[i + 1])));
      ++i;
    }
  }
  return out;
}

// A whole packet: the first byte, the length, and the body as spelled.
inline std::string packet_of(unsigned first_byte, std::string_view body) {
  const std::string bytes = bytes_of(body);
  char head[5] = {static_cast<char>(first_byte)};
  const char* const end =
      write_variable_byte_integer(head + 1, static_cast<std::uint32_t>(bytes.size()));
  return std::string(head, static_cast<std::size_t>(end - head)) + bytes;
}

}  // namespace iotcore::broker::mqtt
