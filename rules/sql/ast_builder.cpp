#include "rules/sql/ast_builder.h"

#include "rules/sql/lexer.h"
#include "rules/sql/parser.h"

#include <algorithm>

namespace iotcore::rules::sql {

void AstBuilder::fail_at(std::size_t offset, std::string message) {
  if (!error_) {
    error_ = SourceError{offset, std::move(message)};
  }
}

void AstBuilder::syntax_error(const Token& token) {
  fail_at(token.offset, explain_unexpected(text_, token));
}

void AstBuilder::too_deep() {
  fail_at(
      0,
      "nested deeper than " + std::to_string(kDepthMax) + " levels; use SET variables for the parts"
  );
}

void AstBuilder::finish_statement(Items* select, Expr* where) {
  statement_.select = select;
  statement_.where = where;
}

Expr* AstBuilder::make(ExprKind kind, std::uint32_t offset) {
  if (exprs_.size() >= kNodesMax) {
    fail_at(offset, "more than " + std::to_string(kNodesMax) + " parts; split the rule");
  }
  Expr& e = exprs_.emplace_back();
  e.kind = kind;
  e.offset = offset;
  return &e;
}

void AstBuilder::adopt(Expr* parent, Expr* child) {
  if (child->depth >= kDepthMax) {
    too_deep();
  }
  parent->depth =
      std::max<std::uint16_t>(parent->depth, static_cast<std::uint16_t>(child->depth + 1));
  parent->children.push_back(child);
}

Items* AstBuilder::items(Item* item) {
  Items& list = item_lists_.emplace_back();
  list.items.push_back(*item);
  return &list;
}

Items* AstBuilder::add_item(Items* list, Item* item) {
  list->items.push_back(*item);
  return list;
}

Items* AstBuilder::value_item(Expr* value) {
  Items& list = item_lists_.emplace_back();
  list.items.push_back({value, {}});
  list.is_value = true;
  return &list;
}

Items* AstBuilder::trailing_comma(Items* list, const Token& comma) {
  list->trailing_comma = comma.offset;
  return list;
}

Item* AstBuilder::item(Expr* value, const Item* alias) {
  Item& item = item_nodes_.emplace_back();
  item.value = value;
  if (alias != nullptr) {
    item.alias = alias->alias;
  }
  return &item;
}

Item* AstBuilder::alias(Item* before, const Token& name) {
  Item* item = before != nullptr ? before : &item_nodes_.emplace_back();
  item->alias.push_back(name);
  return item;
}

Query* AstBuilder::query(Items* select, Expr* source, const Token& alias, Expr* where) {
  Query& query = queries_.emplace_back();
  query.select = select;
  query.source = source;
  query.alias = alias;
  query.where = where;
  return &query;
}

Expr* AstBuilder::leaf(ExprKind kind, const Token& token) {
  Expr* e = make(kind, token.offset);
  e->text = token.text();
  return e;
}

Expr* AstBuilder::unary(ExprKind kind, const Token& token, Expr* operand) {
  Expr* e = make(kind, token.offset);
  adopt(e, operand);
  return e;
}

// +x converts x to a number and is otherwise x: 0 + x would join texts, -(-x) does not.
Expr* AstBuilder::plus(const Token& token, Expr* operand) {
  return unary(ExprKind::kNegate, token, unary(ExprKind::kNegate, token, operand));
}

// Chains such as a + b + c lean to the left; only the right side nests.
Expr* AstBuilder::binary(ExprKind kind, Expr* left, const Token& token, Expr* right) {
  Expr* e = make(kind, token.offset);
  e->text = token.text();
  e->depth = left->depth;
  e->children.push_back(left);
  adopt(e, right);
  return e;
}

Expr* AstBuilder::chain(ExprKind kind, Expr* left, const Token& token, Expr* right) {
  if (left->kind == kind && !left->in_parentheses) {
    adopt(left, right);
    return left;
  }
  return binary(kind, left, token, right);
}

Expr* AstBuilder::parentheses(Expr* inner) {
  inner->in_parentheses = true;
  if (inner->depth >= kDepthMax) {
    too_deep();
  }
  ++inner->depth;
  return inner;
}

Expr* AstBuilder::member(Expr* of, const Token& name) {
  Expr* e = make(ExprKind::kMember, name.offset);
  e->text = name.text();
  e->depth = of->depth;
  e->children.push_back(of);
  return e;
}

Expr* AstBuilder::index(Expr* of, const Token& bracket, Expr* at) {
  Expr* e = make(ExprKind::kIndex, bracket.offset);
  e->depth = of->depth;
  e->children.push_back(of);
  adopt(e, at);
  return e;
}

Expr* AstBuilder::call(const Token& name, ExprList* arguments) {
  Expr* e = make(ExprKind::kCall, name.offset);
  e->text = name.text();
  if (arguments != nullptr) {
    for (Expr* argument : arguments->items) {
      adopt(e, argument);
    }
  }
  return e;
}

Expr* AstBuilder::cast(const Token& token, Expr* value, const Token& type) {
  Expr* e = make(ExprKind::kCast, token.offset);
  e->text = type.text();
  adopt(e, value);
  return e;
}

Expr* AstBuilder::choice(const Token& token, Expr* operand, ExprList* whens, Expr* otherwise) {
  Expr* e = make(ExprKind::kCase, token.offset);
  e->has_operand = operand != nullptr;
  e->has_else = otherwise != nullptr;
  if (operand != nullptr) {
    adopt(e, operand);
  }
  for (Expr* part : whens->items) {
    adopt(e, part);
  }
  if (otherwise != nullptr) {
    adopt(e, otherwise);
  }
  return e;
}

Expr* AstBuilder::subquery(ExprKind kind, const Token& token, Query* query) {
  Expr* e = make(kind, token.data != nullptr ? token.offset : query->source->offset);
  e->query = query;
  std::uint16_t depth = query->source->depth;
  for (const Item& item : query->select->items) {
    depth = std::max(depth, item.value->depth);
  }
  if (query->where != nullptr) {
    depth = std::max(depth, query->where->depth);
  }
  if (depth >= kDepthMax) {
    too_deep();
  }
  e->depth = static_cast<std::uint16_t>(depth + 1);
  return e;
}

Expr* AstBuilder::literal(ExprKind kind, const Token& token, ExprList* contents) {
  Expr* e = make(kind, token.offset);
  if (contents != nullptr) {
    e->keys = contents->keys;
    for (Expr* part : contents->items) {
      adopt(e, part);
    }
  }
  return e;
}

ExprList* AstBuilder::list(Expr* first) {
  return append(&lists_.emplace_back(), first);
}

ExprList* AstBuilder::append(ExprList* list, Expr* next) {
  list->items.push_back(next);
  return list;
}

ExprList* AstBuilder::member_list(ExprList* list, const Token& key, Expr* value) {
  ExprList* to = list != nullptr ? list : &lists_.emplace_back();
  to->keys.push_back(key);
  return append(to, value);
}

ExprList* AstBuilder::when(ExprList* list, Expr* when, Expr* then) {
  ExprList* to = list != nullptr ? list : &lists_.emplace_back();
  append(to, when);
  return append(to, then);
}

}  // namespace iotcore::rules::sql
