#include "rules/sql/lexer.h"

#include <algorithm>

namespace iotcore::rules::sql {
namespace {

constexpr std::size_t kVariableNameMax = 64;

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

}  // namespace

Lexeme Lexer::fail(std::size_t offset, std::string message) {
  error_offset_ = offset;
  error_ = std::move(message);
  return Lexeme::kError;
}

Lexeme Lexer::take(Token& token, std::size_t size, Lexeme lexeme) {
  token = {text_.data() + at_, static_cast<std::uint32_t>(size), static_cast<std::uint32_t>(at_)};
  at_ += size;
  return lexeme;
}

bool Lexer::skip_space() {
  for (;;) {
    while (at_ < text_.size() && is_space(text_[at_])) {
      ++at_;
    }
    const bool line = looking_at("--");
    const bool block = looking_at("/*");
    if (!line && !block) {
      return true;
    }
    if (comments_ == Comments::kRefuse) {
      fail(at_, "a statement has no comments; a rule file (.sql) may carry them");
      return false;
    }
    const std::size_t end = line ? text_.find('\n', at_) : text_.find("*/", at_ + 2);
    if (block && end == std::string_view::npos) {
      fail(at_, "this comment is never closed");
      return false;
    }
    at_ = end == std::string_view::npos ? text_.size() : end + (line ? 1 : 2);
  }
}

Lexeme Lexer::next(Token& token) {
  token = {text_.data() + at_, 0, static_cast<std::uint32_t>(at_)};
  if (!skip_space()) {
    return Lexeme::kError;
  }
  if (at_ >= text_.size()) {
    return take(token, 0, Lexeme::kEnd);
  }
  const char c = text_[at_];
  if (is_letter(c)) {
    return word(token);
  }
  if (is_digit(c)) {
    return number(token);
  }
  if (c == '@') {
    return variable(token);
  }
  if (c == '\'' || c == '"') {
    return string(token);
  }
  return punctuation(token);
}

Lexeme Lexer::word(Token& token) {
  std::size_t end = at_ + 1;
  while (end < text_.size() && (is_letter(text_[end]) || is_digit(text_[end]))) {
    ++end;
  }
  return take(token, end - at_, Lexeme::kWord);
}

Lexeme Lexer::variable(Token& token) {
  std::size_t end = at_ + 1;
  while (end < text_.size() && (is_letter(text_[end]) || is_digit(text_[end]))) {
    ++end;
  }
  if (end == at_ + 1) {
    return fail(at_, "@ begins a variable's name: @name");
  }
  if (end - at_ - 1 > kVariableNameMax) {
    return fail(at_, "a variable's name has at most 64 characters");
  }
  return take(token, end - at_, Lexeme::kVariable);
}

Lexeme Lexer::number(Token& token) {
  std::size_t end = at_;
  const auto digits = [&] {
    const std::size_t from = end;
    while (end < text_.size() && is_digit(text_[end])) {
      ++end;
    }
    return end > from;
  };
  digits();
  if (end < text_.size() && text_[end] == '.') {
    ++end;
    if (!digits()) {
      return fail(at_, "a number's point needs digits on both sides");
    }
  }
  if (end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
    ++end;
    if (end < text_.size() && (text_[end] == '-' || text_[end] == '+')) {
      ++end;
    }
    if (!digits()) {
      return fail(at_, "a number's exponent needs digits: 1E3");
    }
  }
  if (end < text_.size() && (is_letter(text_[end]) || text_[end] == '.')) {
    return fail(
        at_, "not a number; a field whose name begins with a digit is read with get(*, 'name')"
    );
  }
  return take(token, end - at_, Lexeme::kNumber);
}

Lexeme Lexer::string(Token& token) {
  const char quote = text_[at_];
  std::size_t end = at_ + 1;
  for (;;) {
    end = text_.find(quote, end);
    if (end == std::string_view::npos) {
      return fail(at_, "this string is never closed");
    }
    if (end + 1 < text_.size() && text_[end + 1] == quote) {
      end += 2;  // doubled: the quote itself
      continue;
    }
    return take(token, end + 1 - at_, Lexeme::kString);
  }
}

Lexeme Lexer::punctuation(Token& token) {
  struct Sign {
    std::string_view text;
    Lexeme lexeme;
  };

  static constexpr Sign kSigns[] = {
      {"<>", Lexeme::kNotEqual},     {"!=", Lexeme::kBangNotEqual}, {"<=", Lexeme::kLessEqual},
      {">=", Lexeme::kGreaterEqual}, {",", Lexeme::kComma},         {".", Lexeme::kDot},
      {"=", Lexeme::kEqual},         {"<", Lexeme::kLess},          {">", Lexeme::kGreater},
      {"+", Lexeme::kPlus},          {"-", Lexeme::kMinus},         {"*", Lexeme::kStar},
      {"/", Lexeme::kSlash},         {"%", Lexeme::kPercent},       {"(", Lexeme::kLeftParen},
      {")", Lexeme::kRightParen},    {"[", Lexeme::kLeftBracket},   {"]", Lexeme::kRightBracket},
      {"{", Lexeme::kLeftBrace},     {"}", Lexeme::kRightBrace},    {":", Lexeme::kColon},
      {";", Lexeme::kSemicolon},
  };
  if (looking_at("==")) {
    return fail(at_, "equality is written with one =");
  }
  for (const Sign& sign : kSigns) {
    if (looking_at(sign.text)) {
      return take(token, sign.text.size(), sign.lexeme);
    }
  }
  if (looking_at("&&")) {
    return fail(at_, "write AND instead of &&");
  }
  if (looking_at("||")) {
    return fail(at_, "write OR instead of ||; texts are joined with +");
  }
  if (looking_at("!")) {
    return fail(at_, "write NOT instead of !");
  }
  if (static_cast<unsigned char>(text_[at_]) < 0x20 ||
      static_cast<unsigned char>(text_[at_]) > 0x7E) {
    return fail(at_, "unexpected character; other than ASCII only in strings");
  }
  return fail(at_, std::string("unexpected character ") + text_[at_]);
}

std::string string_value(std::string_view quoted) {
  const char quote = quoted.front();
  std::string out;
  out.reserve(quoted.size());
  for (std::size_t i = 1; i + 1 < quoted.size(); ++i) {
    out.push_back(quoted[i]);
    if (quoted[i] == quote) {
      ++i;
    }
  }
  return out;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return to_lower(x) == to_lower(y);
  });
}

std::string lower_ascii(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), to_lower);
  return out;
}

}  // namespace iotcore::rules::sql
