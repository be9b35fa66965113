#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

#include "base/check.h"

namespace iotcore {

inline std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline std::span<const std::byte> as_bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

// Reads big-endian values from a span with every length checked against what remains. After a failed read, ok() is false and every
// further read fails and gives zero or empty.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool ok() const { return ok_; }
  std::size_t remaining() const { return static_cast<std::size_t>(end_ - at_); }
  const char* position() const { return at_; }

  std::uint8_t u8() { return take(1) ? static_cast<std::uint8_t>(at_[-1]) : std::uint8_t{0}; }
  std::uint16_t u16() {
    return take(2) ? static_cast<std::uint16_t>((byte(-2) << 8) | byte(-1)) : std::uint16_t{0};
  }
  std::uint32_t u32() {
    return take(4) ? (byte(-4) << 24) | (byte(-3) << 16) | (byte(-2) << 8) | byte(-1) : 0U;
  }
  std::uint64_t u64() {
    const std::uint64_t high = u32();
    return (high << 32) | u32();
  }
  std::string_view bytes(std::size_t n) {
    return take(n) ? std::string_view(at_ - n, n) : std::string_view();
  }

 private:
  bool take(std::size_t n) {
    if (!ok_ || n > remaining()) {
      ok_ = false;
      return false;
    }
    at_ += n;
    return true;
  }
  std::uint32_t byte(int offset) const { return static_cast<std::uint8_t>(at_[offset]); }

  const char* at_;
  const char* end_;
  bool ok_ = true;
};

// Appends big-endian values to a std::string-like buffer.
template <typename Buffer>
void append_u16(Buffer& out, std::uint16_t v) {
  const char b[2] = {static_cast<char>(v >> 8), static_cast<char>(v)};
  out.append(b, 2);
}
template <typename Buffer>
void append_u32(Buffer& out, std::uint32_t v) {
  const char b[4] = {
      static_cast<char>(v >> 24), static_cast<char>(v >> 16), static_cast<char>(v >> 8),
      static_cast<char>(v)
  };
  out.append(b, 4);
}
template <typename Buffer>
void append_u64(Buffer& out, std::uint64_t v) {
  append_u32(out, static_cast<std::uint32_t>(v >> 32));
  append_u32(out, static_cast<std::uint32_t>(v));
}

// Well-formed UTF-8: no surrogates, no overlong forms, nothing above U+10FFFF (RFC 3629).
bool is_valid_utf8(std::string_view text);

}  // namespace iotcore
