#pragma once

#include "base/json.h"
#include "rules/sql/lexer.h"
#include "rules/sql/program.h"
#include "rules/sql/source_error.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Reading the small things of a rule file: words, strings, arguments, values, JSON.
namespace iotcore::rules {

inline constexpr std::size_t kRuleFileBytesMax = 4U << 20;

using Offsets = std::map<std::string, std::uint32_t, std::less<>>;

// A place in a file and the first error since it was last taken. After an error everything read is empty.
class ValueReader {
 public:
  explicit ValueReader(std::string_view text)
      : text_(text), lexer_(text, sql::Lexer::Comments::kSkip) {}

  bool at_end();

  std::size_t position() const { return lexer_.position(); }

  void seek(std::size_t offset) { lexer_.seek(offset); }

  void fail(std::size_t offset, std::string message);

  bool failed() const { return error_.has_value(); }

  std::optional<sql::SourceError> take_error() { return std::exchange(error_, std::nullopt); }

  sql::Token peek();
  bool accept(sql::Lexeme lexeme);
  bool accept_word(std::string_view word);
  bool expect(sql::Lexeme lexeme, std::string_view what);
  bool expect_word(std::string_view word, std::string_view what);
  std::string word(std::string_view what);
  std::string string(std::string_view what);

  // '(' name = value, a.b = value … ')'. Templates in strings are compiled if there is a program.
  void arguments(
      json::object& to,
      bool secrets,
      const std::string& pointer,
      Offsets& offsets,
      const sql::Program* program
  );
  json::value value(bool secrets, const std::string& pointer, Offsets& offsets);
  // JSON as it stands; with `any`, ANY may stand for a value, and the pointers to those are added.
  json::value json(std::string& raw, std::vector<std::string>* any);

 private:
  static constexpr int kDepthMax = 64;

  json::value list(bool secrets, const std::string& pointer, Offsets& offsets);
  json::value map(bool secrets, const std::string& pointer, Offsets& offsets);
  json::value number(std::string_view text, bool negative);
  json::value secret();
  void check_template(const sql::Token& token, std::string_view text);

  std::string_view text_;
  sql::Lexer lexer_;
  std::optional<sql::SourceError> error_;
  const sql::Program* program_ = nullptr;
  int depth_ = 0;
};

// Knows whether a complete operand stands before the next lexeme of a statement: where it does, no statement goes on with a word.
class OperandTracker {
 public:
  bool is_behind_operand() const { return behind_operand_ && depth_ == 0; }

  void take(sql::Lexeme lexeme, std::string_view text);

 private:
  bool behind_operand_ = false;
  bool behind_dot_ = false;
  int depth_ = 0;
};

// A member's name as part of a JSON pointer (RFC 6901).
std::string escaped_pointer(std::string_view name);

// The white space of what stands between two lexemes.
std::string without_comments(std::string_view between);

}  // namespace iotcore::rules
