#pragma once

#include "base/result.h"

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace iotcore::net {

// Addresses that share their first bits: 10.0.0.0/8, fd00::/8, 192.0.2.7. The families never match each other.
class AddressRange {
 public:
  // Without a prefix length it is that one address. Bits behind the prefix have to be zero, since who sets them mistook the length.
  static Result<AddressRange> parse(std::string_view text);

  // Of an address as PeerAddress has it; false for what is none.
  bool contains(std::string_view ip) const;

 private:
  std::array<std::uint8_t, 16> bytes_ = {};
  std::uint8_t size_ = 0;  // 4 or 16
  std::uint8_t prefix_bits_ = 0;
};

// "10.0.0.0/8, fd00::/8"
Result<std::vector<AddressRange>> parse_address_ranges(std::string_view list);
bool contains(std::span<const AddressRange> ranges, std::string_view ip);

}  // namespace iotcore::net
