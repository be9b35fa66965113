#include "net/address_range.h"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <string>

namespace iotcore::net {
namespace {

// The address's bytes and how many they are; 0 for what is no address.
std::uint8_t parse_ip(std::string_view text, std::array<std::uint8_t, 16>& bytes) {
  const std::string terminated(text);
  if (inet_pton(AF_INET, terminated.c_str(), bytes.data()) == 1) {
    return 4;
  }
  return inet_pton(AF_INET6, terminated.c_str(), bytes.data()) == 1 ? 16 : 0;
}

bool equal_bits(
    const std::array<std::uint8_t, 16>& a, const std::array<std::uint8_t, 16>& b, std::size_t bits
) {
  const auto whole = static_cast<std::ptrdiff_t>(bits / 8);
  if (!std::equal(a.begin(), a.begin() + whole, b.begin())) {
    return false;
  }
  const unsigned rest = bits % 8;
  const auto at = static_cast<std::size_t>(whole);
  return rest == 0 || ((a[at] ^ b[at]) >> (8 - rest)) == 0;
}

}  // namespace

Result<AddressRange> AddressRange::parse(std::string_view text) {
  const auto invalid = [&] {
    return fail(
        Errc::kInvalidRequest,
        "'" + std::string(text) + "' is no address range such as 10.0.0.0/8 or fd00::/8"
    );
  };
  AddressRange out;
  const std::size_t slash = text.find('/');
  out.size_ = parse_ip(text.substr(0, slash), out.bytes_);
  if (out.size_ == 0) {
    return invalid();
  }
  const auto bits_max = static_cast<std::uint8_t>(out.size_ * 8);
  out.prefix_bits_ = bits_max;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), out.prefix_bits_);
    if (error != std::errc() || end != digits.data() + digits.size() ||
        out.prefix_bits_ > bits_max) {
      return invalid();
    }
  }
  std::array<std::uint8_t, 16> masked = {};
  for (std::size_t bit = 0; bit < out.prefix_bits_; ++bit) {
    masked[bit / 8] =
        static_cast<std::uint8_t>(masked[bit / 8] | (out.bytes_[bit / 8] & (0x80U >> (bit % 8))));
  }
  return masked == out.bytes_ ? Result<AddressRange>(out) : invalid();
}

bool AddressRange::contains(std::string_view ip) const {
  std::array<std::uint8_t, 16> bytes = {};
  return parse_ip(ip, bytes) == size_ && equal_bits(bytes, bytes_, prefix_bits_);
}

Result<std::vector<AddressRange>> parse_address_ranges(std::string_view list) {
  std::vector<AddressRange> out;
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    std::string_view one = list.substr(0, comma);
    list.remove_prefix(std::min(comma + 1, list.size()));
    one.remove_prefix(std::min(one.find_first_not_of(' '), one.size()));
    one = one.substr(0, one.find_last_not_of(' ') + 1);
    IOTCORE_ASSIGN(const AddressRange range, AddressRange::parse(one));
    out.push_back(range);
  }
  return out;
}

bool contains(std::span<const AddressRange> ranges, std::string_view ip) {
  return std::any_of(ranges.begin(), ranges.end(), [&](const AddressRange& range) {
    return range.contains(ip);
  });
}

}  // namespace iotcore::net
