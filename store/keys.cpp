#include "store/keys.h"

#include <cstddef>

namespace iotcore::store {
namespace {

// A zero byte in a text becomes 00 FF; 00 01 ends the text. Whatever follows the text, 00 01 sorts
// below both every other byte and the escaped zero, so that "a" stands before "a\0" and before
// "ab".
constexpr std::string_view kEscapedZero("\x00\xff", 2);
constexpr std::string_view kEnd("\x00\x01", 2);

}  // namespace

Key& Key::text(std::string_view segment) {
  while (true) {
    const std::size_t zero = segment.find('\0');
    bytes_.append(segment.substr(0, zero));
    if (zero == std::string_view::npos) {
      break;
    }
    bytes_.append(kEscapedZero);
    segment.remove_prefix(zero + 1);
  }
  bytes_.append(kEnd);
  return *this;
}

std::optional<char> KeyReader::kind() {
  if (left_.empty()) {
    return std::nullopt;
  }
  const char kind = left_.front();
  left_.remove_prefix(1);
  return kind;
}

std::optional<std::string> KeyReader::text() {
  std::string out;
  std::string_view left = left_;
  while (true) {
    const std::size_t zero = left.find('\0');
    if (zero == std::string_view::npos) {
      return std::nullopt;
    }
    out.append(left.substr(0, zero));
    const std::string_view mark = left.substr(zero, 2);
    left.remove_prefix(zero + mark.size());
    if (mark == kEnd) {
      left_ = left;
      return out;
    }
    if (mark != kEscapedZero) {
      return std::nullopt;
    }
    out.push_back('\0');
  }
}

bool KeyReader::skip_text() {
  for (std::size_t zero = left_.find('\0'); zero != std::string_view::npos;
       zero = left_.find('\0', zero + 2)) {
    const std::string_view mark = left_.substr(zero, 2);
    if (mark == kEnd) {
      left_.remove_prefix(zero + 2);
      return true;
    }
    if (mark != kEscapedZero) {
      return false;
    }
  }
  return false;
}

std::optional<std::uint64_t> KeyReader::u64() {
  ByteReader reader(left_);
  const std::uint64_t value = reader.u64();
  if (!reader.ok()) {
    return std::nullopt;
  }
  left_.remove_prefix(8);
  return value;
}

std::string prefix_end(std::string_view prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') {
    prefix.remove_suffix(1);
  }
  if (prefix.empty()) {
    return "\xff";  // no key begins with it
  }
  std::string end(prefix);
  end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return end;
}

std::string key_after(std::string_view key) {
  std::string after(key);
  after.push_back('\0');
  return after;
}

}  // namespace iotcore::store
