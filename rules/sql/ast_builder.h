#pragma once

#include "rules/sql/ast.h"
#include "rules/sql/source_error.h"

#include <deque>
#include <optional>
#include <string>

namespace iotcore::rules::sql {

// Takes the grammar's reductions, owns all nodes and remembers the first error. Never null is
// returned, so that a reduction after an error is harmless.
class AstBuilder {
 public:
  static constexpr std::uint16_t kDepthMax = 64;
  static constexpr std::size_t kNodesMax = 1024;

  explicit AstBuilder(std::string_view text) : text_(text) {}

  const Statement& statement() const { return statement_; }

  const std::optional<SourceError>& error() const { return error_; }

  void fail_at(std::size_t offset, std::string message);

  // Called by the grammar.
  void syntax_error(const Token& token);
  void too_deep();
  void finish_statement(Items* select, Expr* where);

  void finish_expression(Expr* expression) { statement_.expression = expression; }

  void assign(const Token& name, Expr* value) { statement_.set.push_back({name, value}); }

  void from(const Token& filter) { statement_.from = filter; }

  Items* items(Item* item);
  Items* add_item(Items* list, Item* item);
  Items* value_item(Expr* value);
  Items* trailing_comma(Items* list, const Token& comma);
  Item* item(Expr* value, const Item* alias);
  Item* alias(Item* before, const Token& name);
  Query* query(Items* select, Expr* source, const Token& alias, Expr* where);

  Expr* leaf(ExprKind kind, const Token& token);
  Expr* unary(ExprKind kind, const Token& token, Expr* operand);
  Expr* plus(const Token& token, Expr* operand);
  Expr* binary(ExprKind kind, Expr* left, const Token& token, Expr* right);
  Expr* chain(ExprKind kind, Expr* left, const Token& token, Expr* right);
  Expr* parentheses(Expr* inner);
  Expr* member(Expr* of, const Token& name);
  Expr* index(Expr* of, const Token& bracket, Expr* at);
  Expr* call(const Token& name, ExprList* arguments);
  Expr* cast(const Token& token, Expr* value, const Token& type);
  Expr* choice(const Token& token, Expr* operand, ExprList* whens, Expr* otherwise);
  Expr* subquery(ExprKind kind, const Token& token, Query* query);
  Expr* literal(ExprKind kind, const Token& token, ExprList* contents);
  ExprList* list(Expr* first);
  ExprList* append(ExprList* list, Expr* next);
  ExprList* member_list(ExprList* list, const Token& key, Expr* value);
  ExprList* when(ExprList* list, Expr* when, Expr* then);

 private:
  Expr* make(ExprKind kind, std::uint32_t offset);
  void adopt(Expr* parent, Expr* child);

  std::string_view text_;
  Statement statement_;
  std::optional<SourceError> error_;
  std::deque<Expr> exprs_;
  std::deque<ExprList> lists_;
  std::deque<Item> item_nodes_;
  std::deque<Items> item_lists_;
  std::deque<Query> queries_;
};

}  // namespace iotcore::rules::sql
