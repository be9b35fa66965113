#include "tests/conformance/words.h"

#include "tests/conformance/failure.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdlib>

namespace iotcore::conformance {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  if (c >= 'a' && c <= 'f') {
    return c - 'a' + 10;
  }
  if (c >= 'A' && c <= 'F') {
    return c - 'A' + 10;
  }
  return -1;
}

void append_u16(std::string& out, std::size_t value) {
  if (value > 65535) {
    throw Failure("more than 65535 bytes behind a two-byte length");
  }
  out.push_back(static_cast<char>(value >> 8U));
  out.push_back(static_cast<char>(value & 0xFFU));
}

void append_variable(std::string& out, std::size_t value) {
  do {
    auto byte = static_cast<unsigned char>(value & 0x7FU);
    value >>= 7U;
    if (value != 0) {
      byte = static_cast<unsigned char>(byte | 0x80U);
    }
    out.push_back(static_cast<char>(byte));
  } while (value != 0);
}

// Reads a bytes expression from left to right.
class BytesReader {
 public:
  BytesReader(std::string_view text, const Names& names) : text_(text), names_(names) {}

  std::string all() {
    std::string out = group(false);
    if (at_ != text_.size()) {
      throw Failure("a } too many in " + std::string(text_));
    }
    return out;
  }

 private:
  std::string group(bool in_braces) {
    std::string out;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '}') {
        if (in_braces) {
          ++at_;
        }
        return out;
      }
      if (c == ' ') {
        ++at_;
        continue;
      }
      const std::string item = one();
      const std::size_t count = repeat();
      for (std::size_t i = 0; i < count; ++i) {
        out += item;
      }
    }
    if (in_braces) {
      throw Failure("a } is missing in " + std::string(text_));
    }
    return out;
  }

  std::string one() {
    if (take("len{")) {
      const std::string inner = group(true);
      std::string out;
      append_variable(out, inner.size());
      return out + inner;
    }
    if (take("b{")) {
      return with_length(group(true));
    }
    if (take("s\"")) {
      return with_length(quoted());
    }
    if (take("\"")) {
      return quoted();
    }
    if (take("{")) {
      return group(true);
    }
    const int high = hex_digit(text_[at_]);
    const int low = at_ + 1 < text_.size() ? hex_digit(text_[at_ + 1]) : -1;
    if (high < 0 || low < 0) {
      throw Failure("not bytes: " + std::string(text_.substr(at_)));
    }
    at_ += 2;
    return std::string(1, static_cast<char>(high * 16 + low));
  }

  std::size_t repeat() {
    if (at_ >= text_.size() || text_[at_] != '*') {
      return 1;
    }
    std::size_t count = 0;
    for (++at_; at_ < text_.size() && std::isdigit(static_cast<unsigned char>(text_[at_])) != 0;
         ++at_) {
      count = count * 10 + static_cast<std::size_t>(text_[at_] - '0');
    }
    return count;
  }

  bool take(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) {
      return false;
    }
    at_ += word.size();
    return true;
  }

  std::string quoted() {
    std::string out;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '"') {
        ++at_;
        return out;
      }
      if (c == '~') {
        out += names_.prefix;
      } else if (c == '\\' && at_ + 1 < text_.size()) {
        out.push_back(escaped());
      } else {
        out.push_back(c);
      }
    }
    throw Failure("a quote is missing in " + std::string(text_));
  }

  char escaped() {
    const char c = text_[++at_];
    if (c != 'x') {
      return c;
    }
    if (at_ + 2 >= text_.size()) {
      throw Failure("\\x needs two digits");
    }
    const int value = hex_digit(text_[at_ + 1]) * 16 + hex_digit(text_[at_ + 2]);
    at_ += 2;
    return static_cast<char>(value);
  }

  static std::string with_length(const std::string& inner) {
    std::string out;
    append_u16(out, inner.size());
    return out + inner;
  }

  std::string_view text_;
  const Names& names_;
  std::size_t at_ = 0;
};

// Plain text: ~ and %name are filled in.
std::string fill_in(std::string_view text, const Names& names) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '~') {
      out += names.prefix;
      continue;
    }
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    std::size_t end = i + 1;
    while (end < text.size() && std::isalpha(static_cast<unsigned char>(text[end])) != 0) {
      ++end;
    }
    const auto known = names.variables.find(std::string(text.substr(i + 1, end - i - 1)));
    // An unknown one stays as it is: an expectation gives it its value.
    out += known == names.variables.end() ? std::string(text.substr(i, end - i)) : known->second;
    i = end - 1;
  }
  return out;
}

}  // namespace

std::vector<std::string> split_words(std::string_view line) {
  std::vector<std::string> words;
  std::string word;
  bool quoted = false;
  int depth = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quoted && c == '\\' && i + 1 < line.size()) {
      word.push_back(c);
      word.push_back(line[++i]);
      continue;
    }
    quoted = c == '"' ? !quoted : quoted;
    if (!quoted) {
      depth += c == '{' ? 1 : 0;
      depth -= c == '}' ? 1 : 0;
    }
    if (c == ' ' && !quoted && depth == 0) {
      if (!word.empty()) {
        words.push_back(std::move(word));
        word.clear();
      }
    } else {
      word.push_back(c);
    }
  }
  if (!word.empty()) {
    words.push_back(std::move(word));
  }
  return words;
}

std::string read_bytes(std::string_view text, const Names& names) {
  return BytesReader(text, names).all();
}

std::string read_value(std::string_view text, const Names& names, bool& literal) {
  literal = false;
  if (text.starts_with('{') && text.ends_with('}')) {
    return read_bytes(text.substr(1, text.size() - 2), names);
  }
  if (text.starts_with('"')) {
    return read_bytes(text, names);
  }
  literal = true;
  return fill_in(text, names);
}

Fields read_fields(const std::vector<std::string>& words, std::size_t from, const Names& names) {
  Fields fields;
  for (std::size_t i = from; i < words.size(); ++i) {
    Field field;
    const std::size_t equals = words[i].find('=');
    field.key = words[i].substr(0, equals);
    if (equals != std::string::npos) {
      field.value = read_value(std::string_view(words[i]).substr(equals + 1), names, field.literal);
    }
    fields.push_back(std::move(field));
  }
  return fields;
}

const Field* find_field(const Fields& fields, std::string_view key) {
  const auto found =
      std::find_if(fields.begin(), fields.end(), [key](const Field& f) { return f.key == key; });
  return found == fields.end() ? nullptr : &*found;
}

std::string field_or(const Fields& fields, std::string_view key, std::string_view absent) {
  const Field* const field = find_field(fields, key);
  return field == nullptr ? std::string(absent) : field->value;
}

std::string printable(std::string_view bytes) {
  constexpr std::size_t kShownMax = 120;
  std::string out;
  for (const char c : bytes.substr(0, kShownMax)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7F) {
      out.push_back(c);
    } else {
      out += "\\x" + hex_byte(byte);
    }
  }
  if (bytes.size() > kShownMax) {
    out += "… (" + std::to_string(bytes.size()) + " bytes)";
  }
  return out;
}

std::string hex_byte(unsigned value) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  return {kDigits[(value >> 4U) & 15U], kDigits[value & 15U]};
}

unsigned long number_of(std::string_view text) {
  const std::string copy(text);
  char* end = nullptr;
  const unsigned long value = std::strtoul(copy.c_str(), &end, 10);
  if (copy.empty() || *end != '\0') {
    throw Failure("not a number: " + copy);
  }
  return value;
}

}  // namespace iotcore::conformance
