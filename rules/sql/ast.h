#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

// What the parser builds and the compiler reads. Nodes belong to their Statement; views point into
// the statement's text.
namespace iotcore::rules::sql {

// What the lexer hands to Lemon, which keeps it in a union: nothing but plain data.
struct Token {
  const char* data;
  std::uint32_t size;
  std::uint32_t offset;

  std::string_view text() const { return {data, size}; }
};

enum class ExprKind : std::uint8_t {
  kNumber,  // text
  kString,  // text between the quotes, quotes still doubled; text[-1] is the quote
  kTrue,
  kFalse,
  kNull,
  kName,      // text
  kVariable,  // text, with @
  kStar,
  kMember,    // children[0] . text
  kIndex,     // children[0] [ children[1] ]
  kCall,      // text ( children )
  kCast,      // CAST( children[0] AS text )
  kCase,      // children: operand or none, then WHEN, THEN pairs, then ELSE or none
  kExists,    // query
  kSubquery,  // query
  kObject,    // keys[i] : children[i]
  kArray,
  kAnd,  // two or more children
  kOr,
  kNot,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kRemainder,
  kNegate,
};

struct Query;

struct Expr {
  ExprKind kind = ExprKind::kNull;
  bool has_operand = false;  // kCase: the first child is the operand
  bool has_else = false;     // kCase: the last child is ELSE
  bool in_parentheses = false;
  std::uint16_t depth = 1;
  std::uint32_t offset = 0;  // where it begins, or of its operator
  std::string_view text;
  std::vector<Expr*> children;
  std::vector<Token> keys;
  Query* query = nullptr;
};

struct Item {
  Expr* value = nullptr;
  std::vector<Token> alias;  // empty: none
};

struct Items {
  std::vector<Item> items;
  bool is_value = false;             // SELECT VALUE
  std::uint32_t trailing_comma = 0;  // its offset, 0: none
};

// A subquery.
struct Query {
  Items* select = nullptr;
  Expr* source = nullptr;
  Token alias{};  // size 0: none
  Expr* where = nullptr;
};

struct Assignment {
  Token name;  // with @
  Expr* value = nullptr;
};

struct ExprList {
  std::vector<Expr*> items;
  std::vector<Token> keys;
};

struct Statement {
  std::vector<Assignment> set;
  Items* select = nullptr;
  Token from{};  // with its quotes; size 0: none
  Expr* where = nullptr;
  Expr* expression = nullptr;  // of a template: the only member in use
};

}  // namespace iotcore::rules::sql
