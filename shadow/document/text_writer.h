#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace iotcore::shadow::document {

// Builds a string of many short pieces: std::string's own append spends more time on each than the
// copying takes.
class TextWriter {
 public:
  explicit TextWriter(std::size_t expected_bytes) {
    text_.resize(expected_bytes);
    at_ = text_.data();
    end_ = at_ + text_.size();
  }

  TextWriter(const TextWriter&) = delete;
  TextWriter& operator=(const TextWriter&) = delete;

  std::size_t size() const { return static_cast<std::size_t>(at_ - text_.data()); }

  void truncate(std::size_t size) { at_ = text_.data() + size; }

  char back() const { return at_[-1]; }

  void set_back(char c) { at_[-1] = c; }

  void put(char c) {
    make_room(1);
    *at_++ = c;
  }

  void put(std::string_view piece) {
    make_room(piece.size());
    copy(at_, piece.data(), piece.size());
    at_ += piece.size();
  }

  // "key":
  void put_key(std::string_view quoted_key) {
    make_room(quoted_key.size() + 1);
    copy(at_, quoted_key.data(), quoted_key.size());
    at_ += quoted_key.size();
    *at_++ = ':';
  }

  template <typename Integer>
  void put_number(Integer number) {
    make_room(kDigitsMax);
    at_ = std::to_chars(at_, end_, number).ptr;
  }

  // Groups of seven bits, the lowest first.
  void put_varint(std::uint64_t value) {
    make_room(kDigitsMax);
    while (value >= 0x80) {
      *at_++ = static_cast<char>(value | 0x80);
      value >>= 7;
    }
    *at_++ = static_cast<char>(value);
  }

  // The text; the writer is of no more use.
  std::string take() {
    text_.resize(size());
    return std::move(text_);
  }

  std::string_view view() const { return {text_.data(), size()}; }

 private:
  static constexpr std::size_t kDigitsMax = 20;

  void make_room(std::size_t n) {
    if (static_cast<std::size_t>(end_ - at_) < n) [[unlikely]] {
      grow(n);
    }
  }

  void grow(std::size_t n) {
    const std::size_t used = size();
    text_.resize(text_.size() * 2 + n);
    at_ = text_.data() + used;
    end_ = text_.data() + text_.size();
  }

  // Two overlapping halves instead of a call: nearly all keys and values are that short.
  static void copy(char* to, const char* from, std::size_t n) {
    if (n > 32 || n < 4) {
      std::memcpy(to, from, n);
    } else if (n >= 16) {
      copy_halves<16>(to, from, n);
    } else if (n >= 8) {
      copy_halves<8>(to, from, n);
    } else {
      copy_halves<4>(to, from, n);
    }
  }

  template <std::size_t kHalf>
  static void copy_halves(char* to, const char* from, std::size_t n) {
    char first[kHalf];
    char last[kHalf];
    std::memcpy(first, from, kHalf);
    std::memcpy(last, from + n - kHalf, kHalf);
    std::memcpy(to, first, kHalf);
    std::memcpy(to + n - kHalf, last, kHalf);
  }

  std::string text_;
  char* at_;
  char* end_;
};

}  // namespace iotcore::shadow::document
