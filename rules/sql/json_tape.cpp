#include "rules/sql/json_tape.h"

#include "base/bytes.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace iotcore::rules::sql {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

// The byte's high bit is set in each byte of the word that is a quote, a backslash or below 0x20.
std::uint64_t special_bytes(std::uint64_t word) {
  constexpr std::uint64_t kOnes = 0x0101010101010101;
  constexpr std::uint64_t kHigh = 0x8080808080808080;
  const auto zero_bytes = [](std::uint64_t v) { return (v - kOnes) & ~v & kHigh; };
  return zero_bytes(word ^ (kOnes * '"')) | zero_bytes(word ^ (kOnes * '\\')) |
         ((word - kOnes * 0x20) & ~word & kHigh);
}

int hex_value(char c) {
  if (is_digit(c)) {
    return c - '0';
  }
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

unsigned read_hex4(const char* at) {
  unsigned value = 0;
  for (int i = 0; i < 4; ++i) {
    value = value << 4 | static_cast<unsigned>(hex_value(at[i]));
  }
  return value;
}

void append_utf8(std::string& out, unsigned c) {
  if (c < 0x80) {
    out.push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    out.push_back(static_cast<char>(0xC0 | c >> 6));
    out.push_back(static_cast<char>(0x80 | (c & 0x3F)));
  } else if (c < 0x10000) {
    out.push_back(static_cast<char>(0xE0 | c >> 12));
    out.push_back(static_cast<char>(0x80 | (c >> 6 & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (c & 0x3F)));
  } else {
    out.push_back(static_cast<char>(0xF0 | c >> 18));
    out.push_back(static_cast<char>(0x80 | (c >> 12 & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (c >> 6 & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (c & 0x3F)));
  }
}

bool has_escapes(const JsonTape::Node& key) {
  return (key.traits & kHasSpace) != 0;
}

bool same_key(const JsonTape& tape, const JsonTape::Node& key, std::string_view name) {
  const std::string_view raw = tape.raw(key);
  if (!has_escapes(key)) {
    return raw == name;
  }
  std::string plain;
  append_unescaped(raw, plain);
  return plain == name;
}

}  // namespace

// Recursive descent over one text; every method leaves `at_` behind what it read.
class JsonScanner {
 public:
  JsonScanner(std::string_view text, JsonTape& tape)
      : begin_(text.data()), at_(begin_), end_(begin_ + text.size()), tape_(tape) {}

  bool scan() {
    skip_space();
    if (!value(0)) {
      return false;
    }
    skip_space();
    return at_ == end_ && (!beyond_ascii_ || is_valid_utf8(tape_.text_));
  }

 private:
  using Node = JsonTape::Node;
  static constexpr std::uint32_t kFewKeys = 64;

  std::uint32_t offset() const { return static_cast<std::uint32_t>(at_ - begin_); }

  std::uint32_t open(JsonKind kind) {
    const auto index = static_cast<std::uint32_t>(tape_.nodes_.size());
    tape_.nodes_.push_back({offset(), 0, index + 1, kind, 0, 0});
    return index;
  }

  bool skip_space() {
    const char* const from = at_;
    while (at_ != end_ && is_space(*at_)) {
      ++at_;
    }
    return at_ != from;
  }

  bool value(std::uint32_t depth) {
    if (at_ == end_) {
      return false;
    }
    switch (*at_) {
      case '{':
        return depth < JsonTape::kDepthMax && object(depth);
      case '[':
        return depth < JsonTape::kDepthMax && array(depth);
      case '"':
        return string();
      case 't':
        return word("true", JsonKind::kTrue);
      case 'f':
        return word("false", JsonKind::kFalse);
      case 'n':
        return word("null", JsonKind::kNull);
      default:
        return number();
    }
  }

  bool word(std::string_view text, JsonKind kind) {
    if (static_cast<std::size_t>(end_ - at_) < text.size() ||
        std::memcmp(at_, text.data(), text.size()) != 0) {
      return false;
    }
    const std::uint32_t index = open(kind);
    at_ += text.size();
    tape_.nodes_[index].end = offset();
    return true;
  }

  bool digits() {
    const char* const from = at_;
    while (at_ != end_ && is_digit(*at_)) {
      ++at_;
    }
    return at_ != from;
  }

  bool number() {
    const std::uint32_t index = open(JsonKind::kNumber);
    const char* const from = at_;
    at_ += *at_ == '-' ? 1 : 0;
    if (at_ == end_) {
      return false;
    }
    std::uint8_t traits = 0;
    if (*at_ == '0') {
      ++at_;
      traits = from[0] == '-' && (at_ == end_ || *at_ != '.') ? kHasOddNumber : 0;
    } else if (!digits()) {
      return false;
    }
    if (at_ != end_ && *at_ == '.') {
      const char* const point = at_++;
      if (!digits()) {
        return false;
      }
      if (at_[-1] == '0') {
        const bool is_whole = std::all_of(point + 1, at_, [](char c) { return c == '0'; });
        const bool is_plain = is_whole && at_ - point == 2 && !(from[0] == '-' && from[1] == '0');
        traits = static_cast<std::uint8_t>(
            traits | (is_whole ? kHasWholeDecimal : 0) | (is_plain ? 0 : kHasOddNumber)
        );
      }
      if (point[1] == '0' && at_ - point > 6) {
        traits |= kHasOddNumber;  // perhaps below 0.000001
      }
    }
    if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
      ++at_;
      at_ += at_ != end_ && (*at_ == '+' || *at_ == '-') ? 1 : 0;
      if (!digits()) {
        return false;
      }
      traits |= kHasOddNumber | kHasWholeDecimal;
    }
    if (at_ - from > 34) {
      traits |= kHasOddNumber;
    }
    tape_.nodes_[index].end = offset();
    tape_.nodes_[index].traits = traits;
    return true;
  }

  bool escape() {
    ++at_;  // the backslash
    if (at_ == end_) {
      return false;
    }
    if (*at_ != 'u') {
      return std::string_view("\"\\/bfnrt").find(*at_++) != std::string_view::npos;
    }
    ++at_;
    if (end_ - at_ < 4) {
      return false;
    }
    for (int i = 0; i < 4; ++i) {
      if (hex_value(at_[i]) < 0) {
        return false;
      }
    }
    const unsigned unit = read_hex4(at_);
    at_ += 4;
    if (unit >= 0xDC00 && unit < 0xE000) {
      return false;
    }
    if (unit >= 0xD800 && unit < 0xDC00) {
      if (end_ - at_ < 6 || at_[0] != '\\' || at_[1] != 'u') {
        return false;
      }
      for (int i = 2; i < 6; ++i) {
        if (hex_value(at_[i]) < 0) {
          return false;
        }
      }
      const unsigned low = read_hex4(at_ + 2);
      if (low < 0xDC00 || low >= 0xE000) {
        return false;
      }
      at_ += 6;
    }
    return true;
  }

  bool string() {
    ++at_;
    const std::uint32_t index = open(JsonKind::kString);
    std::uint8_t traits = 0;
    std::uint64_t seen = 0;
    for (;;) {
      while (end_ - at_ >= 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, at_, 8);
        const std::uint64_t special = special_bytes(word);
        if (special != 0) {
          break;  // the loop below finds it; high bits up to there are counted there
        }
        seen |= word;
        at_ += 8;
      }
      while (at_ != end_ && *at_ != '"' && *at_ != '\\' && static_cast<unsigned char>(*at_) >= 0x20
      ) {
        seen |= static_cast<unsigned char>(*at_);
        ++at_;
      }
      if (at_ == end_ || static_cast<unsigned char>(*at_) < 0x20) {
        return false;
      }
      if (*at_ == '"') {
        break;
      }
      traits = kHasSpace;
      if (!escape()) {
        return false;
      }
    }
    beyond_ascii_ = beyond_ascii_ || (seen & 0x8080808080808080) != 0;
    tape_.nodes_[index].end = offset();
    tape_.nodes_[index].traits = traits;
    ++at_;
    return true;
  }

  void close(std::uint32_t index, std::uint32_t count, std::uint8_t traits) {
    ++at_;
    Node& node = tape_.nodes_[index];
    node.end = offset();
    node.next = static_cast<std::uint32_t>(tape_.nodes_.size());
    node.count = static_cast<std::uint16_t>(std::min<std::uint32_t>(count, 0xFFFF));
    node.traits = traits;
  }

  bool array(std::uint32_t depth) {
    const std::uint32_t index = open(JsonKind::kArray);
    ++at_;
    std::uint32_t count = 0;
    bool space = skip_space();
    std::uint8_t traits = 0;
    if (at_ != end_ && *at_ == ']') {
      close(index, 0, space ? kHasSpace : 0);
      return true;
    }
    for (;;) {
      const auto element = static_cast<std::uint32_t>(tape_.nodes_.size());
      if (!value(depth + 1)) {
        return false;
      }
      ++count;
      traits |= tape_.nodes_[element].traits;
      space = skip_space() || space;
      if (at_ == end_) {
        return false;
      }
      if (*at_ == ']') {
        close(index, count, static_cast<std::uint8_t>(traits | (space ? kHasSpace : 0)));
        return true;
      }
      if (*at_++ != ',') {
        return false;
      }
      space = skip_space() || space;
    }
  }

  bool object(std::uint32_t depth) {
    const std::uint32_t index = open(JsonKind::kObject);
    ++at_;
    std::uint32_t count = 0;
    std::uint64_t key_hashes = 0;
    bool sort_keys = false;
    bool space = skip_space();
    std::uint8_t traits = 0;
    if (at_ != end_ && *at_ == '}') {
      close(index, 0, space ? kHasSpace : 0);
      return true;
    }
    for (;;) {
      const auto key = static_cast<std::uint32_t>(tape_.nodes_.size());
      if (at_ == end_ || *at_ != '"' || !string()) {
        return false;
      }
      const std::uint8_t key_traits = tape_.nodes_[key].traits;
      sort_keys = sort_keys || count >= kFewKeys || key_traits != 0;
      traits |= key_traits;
      if (!sort_keys && is_repeated(index, key, key_hashes)) {
        traits |= kHasDuplicates;
      }
      ++count;
      space = skip_space() || space;
      if (at_ == end_ || *at_++ != ':') {
        return false;
      }
      space = skip_space() || space;
      if (!value(depth + 1)) {
        return false;
      }
      traits |= tape_.nodes_[key + 1].traits;
      space = skip_space() || space;
      if (at_ == end_) {
        return false;
      }
      if (*at_ == '}') {
        if (sort_keys && has_repeated_keys(index)) {
          traits |= kHasDuplicates;
        }
        close(index, count, static_cast<std::uint8_t>(traits | (space ? kHasSpace : 0)));
        return true;
      }
      if (*at_++ != ',') {
        return false;
      }
      space = skip_space() || space;
    }
  }

  // Whether this key was there before in its object. Few keys: by a small hash and a look; many: by
  // sorting, at the end.
  bool is_repeated(std::uint32_t object, std::uint32_t key, std::uint64_t& hashes) const {
    const std::string_view raw = tape_.raw(tape_.nodes_[key]);
    std::uint32_t hash = static_cast<std::uint32_t>(raw.size()) * 7;
    if (!raw.empty()) {
      hash += static_cast<unsigned char>(raw.front()) * 5U +
              static_cast<unsigned char>(raw.back()) * 11U +
              static_cast<unsigned char>(raw[raw.size() / 2]) * 3U;
    }
    const std::uint64_t bit = std::uint64_t{1} << (hash & 63U);
    if ((hashes & bit) == 0) {
      hashes |= bit;
      return false;
    }
    for (std::uint32_t other = object + 1; other < key; other = tape_.nodes_[other + 1].next) {
      if (tape_.raw(tape_.nodes_[other]) == raw) {
        return true;
      }
    }
    return false;
  }

  bool has_repeated_keys(std::uint32_t object) const {
    std::vector<std::string> keys;
    for (std::uint32_t key = object + 1; key < tape_.nodes_.size();
         key = tape_.nodes_[key + 1].next) {
      append_unescaped(tape_.raw(tape_.nodes_[key]), keys.emplace_back());
    }
    std::sort(keys.begin(), keys.end());
    return std::adjacent_find(keys.begin(), keys.end()) != keys.end();
  }

  const char* begin_;
  const char* at_;
  const char* end_;
  JsonTape& tape_;
  bool beyond_ascii_ = false;
};

bool JsonTape::parse(std::string_view text) {
  text_ = text;
  nodes_.clear();
  if (text.size() > 0xFFFFFFF0U) {
    return false;
  }
  nodes_.reserve(std::min<std::size_t>(text.size() / 8 + 8, 4096));
  if (!JsonScanner(text, *this).scan()) {
    nodes_.clear();
    return false;
  }
  return true;
}

std::uint32_t JsonTape::find(std::uint32_t object, std::string_view name) const {
  const Node& container = nodes_[object];
  const std::uint32_t end = container.next;
  const bool first_is_last = (container.traits & kHasDuplicates) == 0;
  std::uint32_t found = 0;
  for (std::uint32_t key = object + 1; key < end; key = nodes_[key + 1].next) {
    if (same_key(*this, nodes_[key], name)) {
      found = key + 1;
      if (first_is_last) {
        break;
      }
    }
  }
  return found;
}

void append_unescaped(std::string_view raw, std::string& out) {
  const char* at = raw.data();
  const char* const end = at + raw.size();
  while (at != end) {
    if (*at != '\\') {
      out.push_back(*at++);
      continue;
    }
    const char c = at[1];
    at += 2;
    switch (c) {
      case 'b':
        out.push_back('\b');
        break;
      case 'f':
        out.push_back('\f');
        break;
      case 'n':
        out.push_back('\n');
        break;
      case 'r':
        out.push_back('\r');
        break;
      case 't':
        out.push_back('\t');
        break;
      case 'u': {
        unsigned unit = read_hex4(at);
        at += 4;
        if (unit >= 0xD800 && unit < 0xDC00) {
          unit = 0x10000 + ((unit - 0xD800) << 10) + (read_hex4(at + 2) - 0xDC00);
          at += 6;
        }
        append_utf8(out, unit);
        break;
      }
      default:
        out.push_back(c);
    }
  }
}

}  // namespace iotcore::rules::sql
