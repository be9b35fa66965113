#include "registry/policy/ip_range.h"

#include <arpa/inet.h>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>

namespace iotcore::registry::policy {
namespace {

struct Address {
  std::array<std::uint8_t, 16> bytes{};
  unsigned bits = 0;  // 32 or 128
};

std::optional<Address> parse_address(std::string_view text) {
  constexpr std::size_t kTextMax = 45;
  if (text.size() > kTextMax) {
    return std::nullopt;
  }
  const std::string terminated(text);
  Address address;
  if (inet_pton(AF_INET, terminated.c_str(), address.bytes.data()) == 1) {
    address.bits = 32;
    return address;
  }
  if (inet_pton(AF_INET6, terminated.c_str(), address.bytes.data()) == 1) {
    address.bits = 128;
    return address;
  }
  return std::nullopt;
}

}  // namespace

bool ip_in_range(std::string_view address, std::string_view range) {
  const std::size_t slash = range.find('/');
  const auto actual = parse_address(address);
  const auto base = parse_address(range.substr(0, slash));
  if (!actual || !base || actual->bits != base->bits) {
    return false;
  }
  unsigned prefix = base->bits;
  if (slash != range.npos) {
    const std::string_view digits = range.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
    if (error != std::errc() || end != digits.data() + digits.size() || prefix > base->bits) {
      return false;
    }
  }
  const std::size_t whole = prefix / 8;
  if (std::memcmp(actual->bytes.data(), base->bytes.data(), whole) != 0) {
    return false;
  }
  const unsigned rest = prefix % 8;
  if (rest == 0) {
    return true;
  }
  const unsigned mask = 0xFFU << (8 - rest) & 0xFFU;
  return (actual->bytes[whole] & mask) == (base->bytes[whole] & mask);
}

}  // namespace iotcore::registry::policy
