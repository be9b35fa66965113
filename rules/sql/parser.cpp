#include "rules/sql/parser.h"

#include "rules/sql/lexer.h"
#include "sql/grammar.h"

#include <cstdlib>
#include <vector>

// Lemon's parser; see grammar.y.
void* SqlGrammarAlloc(void* (*allocate)(std::size_t));
void SqlGrammarFree(void* parser, void (*release)(void*));
void SqlGrammar(
    void* parser,
    int code,
    iotcore::rules::sql::Token token,
    iotcore::rules::sql::AstBuilder* builder
);

namespace iotcore::rules::sql {
namespace {

struct Keyword {
  std::string_view text;
  int code;
};

constexpr Keyword kKeywords[] = {
    {"SELECT", SQL_SELECT}, {"VALUE", SQL_VALUE},   {"FROM", SQL_FROM}, {"WHERE", SQL_WHERE},
    {"AS", SQL_AS},         {"AND", SQL_AND},       {"OR", SQL_OR},     {"NOT", SQL_NOT},
    {"IN", SQL_IN},         {"EXISTS", SQL_EXISTS}, {"CASE", SQL_CASE}, {"WHEN", SQL_WHEN},
    {"THEN", SQL_THEN},     {"ELSE", SQL_ELSE},     {"END", SQL_END},   {"TRUE", SQL_TRUE},
    {"FALSE", SQL_FALSE},   {"NULL", SQL_NULL},     {"SET", SQL_SET},
};

constexpr std::string_view kKeywordTexts[] = {
    "SELECT", "VALUE", "FROM", "WHERE", "AS",  "AND",  "OR",    "NOT",  "IN",  "EXISTS",
    "CASE",   "WHEN",  "THEN", "ELSE",  "END", "TRUE", "FALSE", "NULL", "SET",
};

int word_code(std::string_view word) {
  for (const Keyword& keyword : kKeywords) {
    if (equal_ignoring_case(keyword.text, word)) {
      return keyword.code;
    }
  }
  return SQL_ID;
}

int code_of(Lexeme lexeme) {
  switch (lexeme) {
    case Lexeme::kVariable:
      return SQL_VARIABLE;
    case Lexeme::kNumber:
      return SQL_NUMBER;
    case Lexeme::kString:
      return SQL_STRING;
    case Lexeme::kComma:
      return SQL_COMMA;
    case Lexeme::kDot:
      return SQL_DOT;
    case Lexeme::kEqual:
      return SQL_EQUAL;
    case Lexeme::kNotEqual:
    case Lexeme::kBangNotEqual:
      return SQL_NOT_EQUAL;
    case Lexeme::kLess:
      return SQL_LESS;
    case Lexeme::kLessEqual:
      return SQL_LESS_EQUAL;
    case Lexeme::kGreater:
      return SQL_GREATER;
    case Lexeme::kGreaterEqual:
      return SQL_GREATER_EQUAL;
    case Lexeme::kPlus:
      return SQL_PLUS;
    case Lexeme::kMinus:
      return SQL_MINUS;
    case Lexeme::kStar:
      return SQL_STAR;
    case Lexeme::kSlash:
      return SQL_SLASH;
    case Lexeme::kPercent:
      return SQL_PERCENT;
    case Lexeme::kLeftParen:
      return SQL_LEFT_PAREN;
    case Lexeme::kRightParen:
      return SQL_RIGHT_PAREN;
    case Lexeme::kLeftBracket:
      return SQL_LEFT_BRACKET;
    case Lexeme::kRightBracket:
      return SQL_RIGHT_BRACKET;
    case Lexeme::kLeftBrace:
      return SQL_LEFT_BRACE;
    case Lexeme::kRightBrace:
      return SQL_RIGHT_BRACE;
    case Lexeme::kColon:
      return SQL_COLON;
    case Lexeme::kEnd:
    case Lexeme::kError:
    case Lexeme::kWord:
    case Lexeme::kSemicolon:
      break;
  }
  return 0;
}

struct Coded {
  Token token;
  int code;
  Lexeme lexeme;
};

// A field may be called `value`: the word is the keyword only right after SELECT and before
// something that begins an expression.
bool is_value_keyword(const std::vector<Coded>& tokens, std::size_t i) {
  if (i == 0 || tokens[i - 1].code != SQL_SELECT || i + 1 >= tokens.size()) {
    return false;
  }
  switch (tokens[i + 1].code) {
    case SQL_STAR: {  // VALUE * FROM, VALUE *.a; but value * 2
      const int after = i + 2 < tokens.size() ? tokens[i + 2].code : 0;
      return after == 0 || after == SQL_FROM || after == SQL_WHERE || after == SQL_DOT ||
             after == SQL_RIGHT_PAREN || after == SQL_LEFT_BRACKET;
    }
    case SQL_ID:
    case SQL_NAME_OF_CALL:
    case SQL_CAST:
    case SQL_VALUE:
    case SQL_VARIABLE:
    case SQL_NUMBER:
    case SQL_STRING:
    case SQL_TRUE:
    case SQL_FALSE:
    case SQL_NULL:
    case SQL_NOT:
    case SQL_EXISTS:
    case SQL_CASE:
    case SQL_LEFT_PAREN:
    case SQL_LEFT_BRACE:
    case SQL_LEFT_BRACKET:
      return true;
    default:
      return false;
  }
}

// Which words are keywords depends on their neighbours: after a dot every word is a member's name.
void settle_words(std::vector<Coded>& tokens) {
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i].lexeme != Lexeme::kWord) {
      continue;
    }
    const bool is_called = i + 1 < tokens.size() && tokens[i + 1].code == SQL_LEFT_PAREN;
    int code = word_code(tokens[i].token.text());
    if (i > 0 && tokens[i - 1].code == SQL_DOT) {
      code = SQL_ID;
    } else if (code == SQL_ID && is_called) {
      code = equal_ignoring_case(tokens[i].token.text(), "cast") ? SQL_CAST : SQL_NAME_OF_CALL;
    }
    tokens[i].code = code;
  }
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i].code == SQL_VALUE && !is_value_keyword(tokens, i)) {
      const bool is_called = i + 1 < tokens.size() && tokens[i + 1].code == SQL_LEFT_PAREN;
      tokens[i].code = is_called ? SQL_NAME_OF_CALL : SQL_ID;
    }
  }
}

bool read_tokens(std::string_view text, AstBuilder& builder, std::vector<Coded>& tokens) {
  Lexer lexer(text);
  for (;;) {
    Coded coded{};
    coded.lexeme = lexer.next(coded.token);
    if (coded.lexeme == Lexeme::kError) {
      builder.fail_at(lexer.error_offset(), lexer.error());
      return false;
    }
    if (coded.lexeme == Lexeme::kEnd) {
      return true;
    }
    if (coded.lexeme == Lexeme::kSemicolon) {
      builder.fail_at(coded.token.offset, "a statement has no ; at its end");
      return false;
    }
    coded.code = code_of(coded.lexeme);
    tokens.push_back(coded);
  }
}

}  // namespace

std::span<const std::string_view> keywords() {
  return kKeywordTexts;
}

void parse(std::string_view text, ParseAs as, AstBuilder& builder) {
  std::vector<Coded> tokens;
  if (!read_tokens(text, builder, tokens)) {
    return;
  }
  settle_words(tokens);
  void* const grammar = SqlGrammarAlloc(&std::malloc);
  const auto feed = [&](int code, const Token& token) {
    SqlGrammar(grammar, code, token, &builder);
    return !builder.error();
  };
  const Token start{text.data(), 0, 0};
  bool good = feed(as == ParseAs::kStatement ? SQL_STATEMENT : SQL_EXPRESSION, start);
  for (std::size_t i = 0; good && i < tokens.size(); ++i) {
    good = feed(tokens[i].code, tokens[i].token);
  }
  if (good) {
    feed(0, {text.data() + text.size(), 0, static_cast<std::uint32_t>(text.size())});
  }
  SqlGrammarFree(grammar, &std::free);
}

std::string explain_unexpected(std::string_view text, const Token& token) {
  if (token.size == 0) {
    return text.find_first_not_of(" \t\r\n") == std::string_view::npos
               ? "nothing here; a rule is SELECT … FROM 'topic/filter' WHERE …"
               : "the text ends too early";
  }
  const std::string_view word = token.text();

  struct Foreign {
    std::string_view word;
    std::string_view advice;
  };

  static constexpr Foreign kForeign[] = {
      {"BETWEEN", "not in this dialect: write a >= x AND a <= y"},
      {"LIKE", "not in this dialect: use startswith(), endswith() or regexp_matches()"},
      {"IS", "not in this dialect: use isNull() or isUndefined()"},
      {"GROUP", "not in this dialect: each message is evaluated alone"},
      {"ORDER", "not in this dialect: each message is evaluated alone"},
      {"HAVING", "not in this dialect: each message is evaluated alone"},
      {"LIMIT", "not in this dialect: each message is evaluated alone"},
      {"DISTINCT", "not in this dialect: each message is evaluated alone"},
      {"JOIN", "not in this dialect: a rule has one FROM; use get_thing_shadow() and its kind"},
      {"UNION", "not in this dialect: write two rules"},
      {"INSERT", "not in this dialect: a rule is SELECT … FROM …; where it goes is an action"},
      {"UPDATE", "not in this dialect: a rule is SELECT … FROM …; where it goes is an action"},
      {"DELETE", "not in this dialect: a rule is SELECT … FROM …; where it goes is an action"},
  };
  for (const Foreign& foreign : kForeign) {
    if (equal_ignoring_case(foreign.word, word)) {
      return std::string(word) + " is " + std::string(foreign.advice);
    }
  }
  std::string message = "unexpected " + std::string(word);
  // The culprit may be this word or the one before it: SELCT a, a FORM 'x', a WEHRE b.
  std::string_view meant = nearest(word, kKeywordTexts);
  if (meant.empty() || equal_ignoring_case(meant, word)) {
    std::string_view before = text.substr(0, token.offset);
    before = before.substr(0, before.find_last_not_of(" \t\r\n") + 1);
    const std::size_t from =
        before.find_last_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    const std::string_view previous = before.substr(from == std::string_view::npos ? 0 : from + 1);
    meant = nearest(previous, kKeywordTexts);
    if (meant.empty() || equal_ignoring_case(meant, previous)) {
      return message;
    }
    return message + " after " + std::string(previous) + "; did you mean " + std::string(meant) +
           "?";
  }
  return message + "; did you mean " + std::string(meant) + "?";
}

}  // namespace iotcore::rules::sql
