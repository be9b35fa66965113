#include "broker/printable.h"

#include <fmt/format.h>

namespace iotcore::broker {
namespace {

constexpr std::size_t kNone = 0;

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0U) == 0x80;
}

// Bytes of the control character that the text begins with, or kNone. Those of U+0080 to U+009F are C2 80 to C2 9F.
std::size_t control_bytes(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < ' ' || first == 0x7F) {
    return 1;
  }
  const bool is_c1 = first == 0xC2 && text.size() > 1 && static_cast<unsigned char>(text[1]) < 0xA0;
  return is_c1 ? 2 : kNone;
}

}  // namespace

std::string printable(std::string_view text, std::size_t bytes_max) {
  const bool is_cut = text.size() > bytes_max;
  if (is_cut) {
    while (bytes_max > 0 && is_continuation(text[bytes_max])) {
      --bytes_max;
    }
    text = text.substr(0, bytes_max);
  }
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t control = control_bytes(text);
    for (std::size_t i = 0; i < control; ++i) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[i]));
    }
    if (control == kNone) {
      out.push_back(text.front());
    }
    text.remove_prefix(control == kNone ? 1 : control);
  }
  return is_cut ? out + "..." : out;
}

}  // namespace iotcore::broker
