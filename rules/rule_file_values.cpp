#include "rules/rule_file_values.h"

#include <algorithm>
#include <charconv>

namespace iotcore::rules {

using sql::Lexeme;
using sql::Token;

std::string escaped_pointer(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out.push_back(c);
    }
  }
  return out;
}

namespace {

constexpr std::string_view kAnyMark =
    "\x01"
    "ANY";

bool is_word_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// Replaces the marks by null and notes where they were.
void collect_any(json::value& value, const std::string& pointer, std::vector<std::string>& any) {
  if (value.is_string() && std::string_view(value.get_string()) == kAnyMark) {
    any.push_back(pointer);
    value = nullptr;
  } else if (value.is_object()) {
    for (auto& member : value.get_object()) {
      collect_any(member.value(), pointer + "/" + escaped_pointer(member.key()), any);
    }
  } else if (value.is_array()) {
    std::size_t i = 0;
    for (json::value& element : value.get_array()) {
      collect_any(element, pointer + "/" + std::to_string(i++), any);
    }
  }
}

std::size_t string_end(std::string_view text, std::size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    at += text[at] == '\\' ? 1U : 0U;
  }
  return std::min(at + 1, text.size());
}

// One past the JSON value at `at`, by its brackets and quotes alone.
std::size_t json_end(std::string_view text, std::size_t at) {
  int depth = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == '"') {
      at = string_end(text, at);
    } else if (c == '{' || c == '[') {
      ++depth;
      ++at;
    } else if (c == '}' || c == ']') {
      --depth;
      ++at;
    } else if (is_word_character(c) || c == '-') {
      while (at < text.size() && (is_word_character(text[at]) || text[at] == '.' ||
                                  text[at] == '-' || text[at] == '+')) {
        ++at;
      }
    } else if (depth > 0) {
      ++at;
      continue;
    } else {
      return at;
    }
    if (depth <= 0) {
      return at;
    }
  }
  return at;
}

std::string mark_any(std::string_view raw) {
  std::string out;
  for (std::size_t at = 0; at < raw.size();) {
    if (raw[at] == '"') {
      const std::size_t end = string_end(raw, at);
      out.append(raw, at, end - at);
      at = end;
    } else if (is_word_character(raw[at])) {
      std::size_t end = at;
      while (end < raw.size() && is_word_character(raw[end])) {
        ++end;
      }
      const std::string_view word = raw.substr(at, end - at);
      out.append(word == "ANY" ? std::string_view("\"\\u0001ANY\"") : word);
      at = end;
    } else {
      out.push_back(raw[at++]);
    }
  }
  return out;
}

}  // namespace

void ValueReader::fail(std::size_t offset, std::string message) {
  if (!error_) {
    error_ = sql::SourceError{offset, std::move(message)};
  }
}

Token ValueReader::peek() {
  const std::size_t at = lexer_.position();
  Token token{};
  if (lexer_.next(token) == Lexeme::kError) {
    fail(lexer_.error_offset(), lexer_.error());
    token.size = 0;
  }
  lexer_.seek(at);
  return token;
}

bool ValueReader::at_end() {
  const std::size_t at = lexer_.position();
  Token token{};
  const bool is_end = lexer_.next(token) == Lexeme::kEnd;
  lexer_.seek(at);
  return is_end;
}

bool ValueReader::accept(Lexeme lexeme) {
  const std::size_t at = lexer_.position();
  Token token{};
  const Lexeme found = lexer_.next(token);
  if (found == Lexeme::kError) {
    fail(lexer_.error_offset(), lexer_.error());
  }
  if (!error_ && found == lexeme) {
    return true;
  }
  lexer_.seek(at);
  return false;
}

bool ValueReader::accept_word(std::string_view word) {
  const Token token = peek();
  if (error_ || !sql::equal_ignoring_case(token.text(), word)) {
    return false;
  }
  lexer_.seek(token.offset + token.size);
  return true;
}

bool ValueReader::expect(Lexeme lexeme, std::string_view what) {
  if (error_) {
    return false;
  }
  const Token token = peek();
  if (accept(lexeme)) {
    return true;
  }
  const std::string found = token.size == 0 ? "the end of the file" : std::string(token.text());
  fail(token.offset, "expected " + std::string(what) + ", not " + found);
  return false;
}

bool ValueReader::expect_word(std::string_view word, std::string_view what) {
  if (error_ || accept_word(word)) {
    return !error_;
  }
  const Token token = peek();
  const std::string found = token.size == 0 ? "the end of the file" : std::string(token.text());
  fail(token.offset, "expected " + std::string(what) + ", not " + found);
  return false;
}

std::string ValueReader::word(std::string_view what) {
  const Token token = peek();
  return expect(Lexeme::kWord, what) ? std::string(token.text()) : std::string();
}

std::string ValueReader::string(std::string_view what) {
  const Token token = peek();
  return expect(Lexeme::kString, what) ? sql::string_value(token.text()) : std::string();
}

void ValueReader::arguments(
    json::object& to,
    bool secrets,
    const std::string& pointer,
    Offsets& offsets,
    const sql::Program* program
) {
  program_ = program;
  expect(Lexeme::kLeftParen, "( before the arguments");
  bool more = !error_ && !accept(Lexeme::kRightParen);
  while (more && !error_) {
    const Token name = peek();
    std::string member = word("an argument: name = value");
    std::string at = pointer + "/" + member;
    json::object* into = &to;
    if (accept(Lexeme::kDot)) {
      json::value& outer = to[member];
      if (outer.is_null()) {
        outer = json::object();
      }
      if (!outer.is_object()) {
        fail(name.offset, member + " has a value already");
        break;
      }
      into = &outer.get_object();
      offsets.emplace(at, name.offset);
      member = word("a name behind the dot");
      at += "/" + member;
    }
    if (!error_ && find_member(*into, member) != nullptr) {
      fail(name.offset, member + " is given twice");
    }
    expect(Lexeme::kEqual, "= behind " + member);
    offsets[at] = name.offset;
    json::value read = value(secrets, at, offsets);
    if (!error_) {
      (*into)[member] = std::move(read);
      more = accept(Lexeme::kComma);
      if (!more) {
        expect(Lexeme::kRightParen, ", or ) behind the value");
      }
    }
  }
  program_ = nullptr;
}

json::value ValueReader::value(bool secrets, const std::string& pointer, Offsets& offsets) {
  if (error_) {
    return nullptr;
  }
  const Token token = peek();
  offsets.emplace(pointer, token.offset);
  if (accept(Lexeme::kString)) {
    std::string text = sql::string_value(token.text());
    if (program_ != nullptr && !pointer.ends_with("/roleArn")) {
      check_template(token, text);
    }
    return json::value(std::move(text));
  }
  const bool negative = accept(Lexeme::kMinus);
  const Token digits = peek();
  if (accept(Lexeme::kNumber)) {
    return number(digits.text(), negative);
  }
  if (accept(Lexeme::kLeftBracket)) {
    return list(secrets, pointer, offsets);
  }
  if (accept(Lexeme::kLeftBrace)) {
    return map(secrets, pointer, offsets);
  }
  for (const bool constant : {true, false}) {
    if (accept_word(constant ? "TRUE" : "FALSE")) {
      return constant;
    }
  }
  if (accept_word("NULL")) {
    return nullptr;
  }
  if (accept_word("SECRET")) {
    if (!secrets) {
      fail(token.offset, "secret() stands in CREATE TARGET only");
      return nullptr;
    }
    return secret();
  }
  fail(
      token.offset,
      "expected a value: 'text', 12, TRUE, […] or {'key': …}, not " +
          (token.size == 0 ? "the end of the file" : std::string(token.text()))
  );
  return nullptr;
}

json::value ValueReader::secret() {
  expect(Lexeme::kLeftParen, "secret('name')");
  std::string name = string("secret('name')");
  expect(Lexeme::kRightParen, "secret('name')");
  return json::object{{"$secret", std::move(name)}};
}

json::value ValueReader::number(std::string_view text, bool negative) {
  const std::string whole = (negative ? "-" : "") + std::string(text);
  auto parsed = parse_json(whole);
  if (!parsed) {
    fail(static_cast<std::size_t>(text.data() - text_.data()), "not a number");
    return nullptr;
  }
  return std::move(*parsed);
}

json::value ValueReader::list(bool secrets, const std::string& pointer, Offsets& offsets) {
  json::array out;
  if (++depth_ > kDepthMax) {
    fail(position(), "nested too deeply");
  }
  bool more = !error_ && !accept(Lexeme::kRightBracket);
  while (more && !error_) {
    out.push_back(value(secrets, pointer + "/" + std::to_string(out.size()), offsets));
    more = accept(Lexeme::kComma);
    if (!more) {
      expect(Lexeme::kRightBracket, ", or ] in the list");
    }
  }
  --depth_;
  return out;
}

json::value ValueReader::map(bool secrets, const std::string& pointer, Offsets& offsets) {
  json::object out;
  if (++depth_ > kDepthMax) {
    fail(position(), "nested too deeply");
  }
  bool more = !error_ && !accept(Lexeme::kRightBrace);
  while (more && !error_) {
    const std::string key = string("a key as a string: {'key': value}");
    expect(Lexeme::kColon, ": behind the key");
    out[key] = value(secrets, pointer + "/" + escaped_pointer(key), offsets);
    more = accept(Lexeme::kComma);
    if (!more) {
      expect(Lexeme::kRightBrace, ", or } in the map");
    }
  }
  --depth_;
  return out;
}

void ValueReader::check_template(const Token& token, std::string_view text) {
  if (text.find("${") == std::string_view::npos) {
    return;
  }
  const auto compiled = sql::compile_template_source(text, *program_);
  if (compiled) {
    return;
  }
  // Doubled quotes before the place make the file's text longer than the string.
  const char quote = *token.data;
  std::size_t offset = token.offset + 1;
  for (std::size_t i = 0; i < compiled.error().offset && i < text.size(); ++i) {
    offset += text[i] == quote ? 2 : 1;
  }
  fail(offset, compiled.error().message);
}

json::value ValueReader::json(std::string& raw, std::vector<std::string>* any) {
  if (error_) {
    return nullptr;
  }
  const std::size_t begin = peek().offset;
  const std::size_t end = json_end(text_, begin);
  const std::string_view found = text_.substr(begin, end - begin);
  auto parsed = parse_json(any != nullptr ? mark_any(found) : std::string(found));
  if (!parsed) {
    fail(begin, found.empty() ? "expected JSON" : parsed.error().message());
    return nullptr;
  }
  lexer_.seek(end);
  raw = found;
  if (any != nullptr) {
    collect_any(*parsed, "", *any);
  }
  return std::move(*parsed);
}

void OperandTracker::take(Lexeme lexeme, std::string_view text) {
  static constexpr std::string_view kOpening[] = {
      "SELECT",
      "FROM",
      "WHERE",
      "AS",
      "AND",
      "OR",
      "NOT",
      "IN",
      "EXISTS",
      "CASE",
      "WHEN",
      "THEN",
      "ELSE",
      "SET",
  };
  const bool was_behind_dot = std::exchange(behind_dot_, lexeme == Lexeme::kDot);
  switch (lexeme) {
    case Lexeme::kLeftParen:
    case Lexeme::kLeftBracket:
    case Lexeme::kLeftBrace:
      ++depth_;
      behind_operand_ = false;
      return;
    case Lexeme::kRightParen:
    case Lexeme::kRightBracket:
    case Lexeme::kRightBrace:
      --depth_;
      behind_operand_ = true;
      return;
    case Lexeme::kString:
    case Lexeme::kNumber:
    case Lexeme::kVariable:
      behind_operand_ = true;
      return;
    case Lexeme::kStar:
      behind_operand_ = !behind_operand_;  // an operand where one is due, else the operator
      return;
    case Lexeme::kWord:
      behind_operand_ =
          was_behind_dot ||
          std::none_of(std::begin(kOpening), std::end(kOpening), [&](std::string_view word) {
            return sql::equal_ignoring_case(word, text);
          });
      return;
    default:
      behind_operand_ = false;
  }
}

std::string without_comments(std::string_view between) {
  std::string out;
  for (std::size_t at = 0; at < between.size();) {
    if (between.substr(at).starts_with("--")) {
      at = std::min(between.find('\n', at), between.size());
    } else if (between.substr(at).starts_with("/*")) {
      at = std::min(between.find("*/", at + 2) + 2, between.size());
    } else {
      out.push_back(between[at++]);
    }
  }
  return out;
}

}  // namespace iotcore::rules
