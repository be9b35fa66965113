#pragma once

#include "rules/sql/ast.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace iotcore::rules::sql {

enum class Lexeme : std::uint8_t {
  kEnd,
  kError,  // see Lexer::error()
  kWord,
  kVariable,
  kNumber,
  kString,  // with its quotes
  kComma,
  kDot,
  kEqual,
  kNotEqual,      // <>
  kBangNotEqual,  // !=
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kPlus,
  kMinus,
  kStar,
  kSlash,
  kPercent,
  kLeftParen,
  kRightParen,
  kLeftBracket,
  kRightBracket,
  kLeftBrace,
  kRightBrace,
  kColon,
  kSemicolon,
};

// Cuts a text into lexemes, one at a time. Comments are white space in rule files and errors
// elsewhere.
class Lexer {
 public:
  enum class Comments : std::uint8_t { kRefuse, kSkip };

  explicit Lexer(std::string_view text, Comments comments = Comments::kRefuse, std::size_t from = 0)
      : text_(text), at_(from), comments_(comments) {}

  Lexeme next(Token& token);

  // Where the next lexeme is looked for.
  std::size_t position() const { return at_; }

  void seek(std::size_t offset) { at_ = offset; }

  const std::string& error() const { return error_; }

  std::size_t error_offset() const { return error_offset_; }

 private:
  bool skip_space();
  Lexeme word(Token& token);
  Lexeme variable(Token& token);
  Lexeme number(Token& token);
  Lexeme string(Token& token);
  Lexeme punctuation(Token& token);
  Lexeme take(Token& token, std::size_t size, Lexeme lexeme);
  Lexeme fail(std::size_t offset, std::string message);

  bool looking_at(std::string_view what) const { return text_.substr(at_).starts_with(what); }

  std::string_view text_;
  std::size_t at_;
  Comments comments_;
  std::string error_;
  std::size_t error_offset_ = 0;
};

// The value of a string lexeme: without its quotes, doubled quotes made one.
std::string string_value(std::string_view quoted);
bool equal_ignoring_case(std::string_view a, std::string_view b);
std::string lower_ascii(std::string_view text);

}  // namespace iotcore::rules::sql
