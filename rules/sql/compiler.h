#pragma once

#include "rules/sql/ast_builder.h"
#include "rules/sql/code.h"
#include "rules/sql/functions.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules::sql {

// Turns a parsed statement or template expression into code: checks names, functions and the
// version's limits, folds constants. After the first error the rest is compiled without meaning.
class Compiler {
 public:
  explicit Compiler(ProgramData& code) : code_(code) {}

  void statement(const Statement& statement);
  NodeIndex template_expression(const Expr& expression);

  const std::optional<SourceError>& error() const { return error_; }

 private:
  struct Scope {
    bool in_subquery = false;
    bool is_source = false;       // in a subquery's FROM: a name may also be the payload's
    std::string_view alias = {};  // of the innermost subquery's element
  };

  void fail(std::uint32_t offset, std::string message);
  void note(std::uint32_t offset, std::string message);
  // False, with an error, in 2015-10-08.
  void needs_2016(std::uint32_t offset, std::string_view what);
  void extension(std::uint32_t offset, std::string_view what);

  NodeIndex expression(const Expr& e, const Scope& scope);
  NodeIndex literal(const Expr& e);
  NodeIndex name_or_path(const Expr& e, const Scope& scope);
  NodeIndex variable(const Expr& e);
  NodeIndex index(const Expr& e, const Scope& scope);
  NodeIndex call(const Expr& e, const Scope& scope);
  void check_arguments(const Expr& e, const Function& function);
  void check_decode(const Expr& e);
  std::uint32_t regular_expression(const Expr& e, NodeIndex pattern);
  NodeIndex cast(const Expr& e, const Scope& scope);
  NodeIndex choice(const Expr& e, const Scope& scope);
  NodeIndex query(const Expr& e, const Scope& scope);
  NodeIndex object(const Expr& e, const Scope& scope);
  NodeIndex several(Op op, const Expr& e, const Scope& scope);
  NodeIndex unary(Op op, const Expr& e, const Scope& scope);
  NodeIndex binary(Op op, const Expr& e, const Scope& scope);

  void selection(const Items& items, const Scope& scope, Selection& to);
  std::vector<std::string_view> item_key(const Item& item, std::size_t position);
  void add_place(Selection& to, const std::vector<std::string_view>& key, std::uint16_t item);
  void topic_filter(const Token& from);

  // Appends the node; if it depends on nothing but constants, the constant it is.
  NodeIndex add(const Node& node, bool is_foldable);
  NodeIndex constant(const Value& value);
  std::uint32_t add_operands(const std::vector<NodeIndex>& nodes);
  std::uint32_t add_names(const std::vector<std::string_view>& names);

  bool is_constant(NodeIndex node) const { return code_.nodes[node].op == Op::kConstant; }

  bool are_constant(const std::vector<NodeIndex>& nodes) const;
  std::string_view keep(std::string_view text);
  void remember_path(const std::vector<std::string_view>& names, const Scope& scope);

  ProgramData& code_;
  std::optional<SourceError> error_;
  bool is_template_ = false;
  int proto_decodes_ = 0;
  bool is_external_ = false;  // the part compiled last calls ExternalFunctions
};

}  // namespace iotcore::rules::sql
