#include "rules/sql/compiler.h"

#include "rules/sql/lexer.h"
#include "rules/sql/reach.h"
#include "rules/sql/topic_filter.h"

#include <algorithm>

namespace iotcore::rules::sql {
namespace {

constexpr std::size_t kVariablesMax = 10;

Op op_of(ExprKind kind) {
  switch (kind) {
    case ExprKind::kEqual:
      return Op::kEqual;
    case ExprKind::kNotEqual:
      return Op::kNotEqual;
    case ExprKind::kLess:
      return Op::kLess;
    case ExprKind::kLessEqual:
      return Op::kLessEqual;
    case ExprKind::kGreater:
      return Op::kGreater;
    case ExprKind::kGreaterEqual:
      return Op::kGreaterEqual;
    case ExprKind::kIn:
      return Op::kIn;
    case ExprKind::kAdd:
      return Op::kAdd;
    case ExprKind::kSubtract:
      return Op::kSubtract;
    case ExprKind::kMultiply:
      return Op::kMultiply;
    case ExprKind::kDivide:
      return Op::kDivide;
    default:
      return Op::kRemainder;
  }
}

}  // namespace

void Compiler::fail(std::uint32_t offset, std::string message) {
  if (!error_) {
    error_ = SourceError{offset, std::move(message)};
  }
}

void Compiler::note(std::uint32_t offset, std::string message) {
  code_.notes.push_back({offset, std::move(message)});
}

void Compiler::needs_2016(std::uint32_t offset, std::string_view what) {
  if (code_.version == Version::k2015_10_08) {
    fail(
        offset, std::string(what) + " needs awsIotSqlVersion 2016-03-23; this rule has 2015-10-08"
    );
  }
}

void Compiler::extension(std::uint32_t offset, std::string_view what) {
  if (code_.options.strict) {
    fail(offset, std::string(what) + " is an extension of ours, which strict mode refuses");
  } else {
    note(offset, std::string(what) + " works here but not on AWS");
  }
}

void Compiler::statement(const Statement& statement) {
  if (!statement.set.empty()) {
    needs_2016(statement.set.front().name.offset, "SET");
  }
  for (const Assignment& assignment : statement.set) {
    const std::string_view name = assignment.name.text();
    if (std::find(code_.variables.begin(), code_.variables.end(), name) != code_.variables.end()) {
      fail(
          assignment.name.offset,
          std::string(name) + " has its value already; a variable is set once"
      );
    }
    if (code_.variables.size() >= kVariablesMax) {
      fail(assignment.name.offset, "a statement sets at most 10 variables");
    }
    const NodeIndex value = expression(*assignment.value, {});
    code_.variables.push_back(name);
    code_.variable_values.push_back(value);
  }
  topic_filter(statement.from);
  if (statement.where != nullptr) {
    code_.where = expression(*statement.where, {});
    if (const std::string why = error_ ? "" : why_never_true(code_); !why.empty()) {
      note(statement.where->offset, why);
    }
  }
  selection(*statement.select, {}, code_.select);
}

NodeIndex Compiler::template_expression(const Expr& e) {
  is_template_ = true;
  return expression(e, {});
}

void Compiler::topic_filter(const Token& from) {
  if (from.size == 0) {
    note(0, "without FROM the rule is reached by Basic Ingest only ($aws/rules/<name>)");
    return;
  }
  std::string filter = string_value(from.text());
  if (const std::string_view problem = topic_filter_problem(filter); !problem.empty()) {
    fail(from.offset, "FROM: " + std::string(problem));
  }
  if (*from.data == '"') {
    note(from.offset, "AWS writes the topic filter in single quotes");
  }
  // What no message's topic begins with.
  if (filter.starts_with("$aws/rules/")) {
    note(
        from.offset,
        "no message comes by this filter: $aws/rules/<name> reaches the rule of that name, "
        "whatever its FROM says"
    );
  } else if (filter.starts_with("$share/")) {
    note(from.offset, "no message comes by this filter: rules have no shared subscriptions");
  }
  code_.topic_filter = std::move(filter);
}

NodeIndex Compiler::expression(const Expr& e, const Scope& scope) {
  switch (e.kind) {
    case ExprKind::kNumber:
    case ExprKind::kString:
    case ExprKind::kTrue:
    case ExprKind::kFalse:
    case ExprKind::kNull:
      return literal(e);
    case ExprKind::kName:
    case ExprKind::kStar:
    case ExprKind::kMember:
      return name_or_path(e, scope);
    case ExprKind::kVariable:
      return variable(e);
    case ExprKind::kIndex:
      return index(e, scope);
    case ExprKind::kCall:
      return call(e, scope);
    case ExprKind::kCast:
      return cast(e, scope);
    case ExprKind::kCase:
      return choice(e, scope);
    case ExprKind::kExists:
    case ExprKind::kSubquery:
      return query(e, scope);
    case ExprKind::kObject:
      return object(e, scope);
    case ExprKind::kArray:
      needs_2016(e.offset, "an array");
      return several(Op::kArray, e, scope);
    case ExprKind::kAnd:
      return several(Op::kAnd, e, scope);
    case ExprKind::kOr:
      return several(Op::kOr, e, scope);
    case ExprKind::kNot:
      return unary(Op::kNot, e, scope);
    case ExprKind::kNegate:
      return unary(Op::kNegate, e, scope);
    case ExprKind::kNotEqual:
      if (e.text == "!=") {
        extension(e.offset, "!= for <>");
      }
      break;
    default:
      break;
  }
  return binary(op_of(e.kind), e, scope);
}

NodeIndex Compiler::literal(const Expr& e) {
  switch (e.kind) {
    case ExprKind::kTrue:
      return constant(Value::boolean(true));
    case ExprKind::kFalse:
      return constant(Value::boolean(false));
    case ExprKind::kNull:
      return constant(Value::null());
    case ExprKind::kString:
      return constant(Value::string(keep(string_value(e.text))));
    default: {
      const Values values(code_.memory, code_.keeps_decimals());
      const Value number = values.parse_number(e.text);
      if (number.is_undefined()) {
        fail(e.offset, "a number's magnitude is between 1E-999 and 9.99E999");
      }
      return constant(number);
    }
  }
}

NodeIndex Compiler::name_or_path(const Expr& e, const Scope& scope) {
  std::vector<std::string_view> names;
  const Expr* base = &e;
  while (base->kind == ExprKind::kMember) {
    names.push_back(base->text);
    base = base->children.front();
  }
  const bool is_element =
      base->kind == ExprKind::kStar ||
      (base->kind == ExprKind::kName && scope.in_subquery && base->text == scope.alias);
  if (base->kind == ExprKind::kName && !is_element) {
    names.push_back(base->text);
  }
  std::reverse(names.begin(), names.end());
  const auto count = static_cast<std::uint16_t>(names.size());
  if (base->kind != ExprKind::kName && !is_element) {
    const NodeIndex of = expression(*base, scope);
    return add({Op::kMember, 0, count, add_names(names), of}, is_constant(of));
  }
  remember_path(names, scope);
  if (names.empty()) {
    return add({Op::kCurrent}, false);
  }
  const bool may_be_outer = scope.in_subquery && scope.is_source && !is_element;
  const Op op = may_be_outer ? Op::kFieldOrOuter : Op::kField;
  return add({op, 0, count, add_names(names)}, false);
}

void Compiler::remember_path(const std::vector<std::string_view>& names, const Scope& scope) {
  if (scope.in_subquery && !scope.is_source) {
    return;  // of an element, whose source is remembered
  }
  std::string path;
  for (const std::string_view name : names) {
    path += path.empty() ? "" : ".";
    path += name;
  }
  if (path.empty()) {
    path = "*";
  }
  std::vector<std::string>& paths = code_.payload_paths;
  if (std::find(paths.begin(), paths.end(), path) == paths.end()) {
    paths.push_back(std::move(path));
  }
}

NodeIndex Compiler::variable(const Expr& e) {
  const auto found = std::find(code_.variables.begin(), code_.variables.end(), e.text);
  if (found == code_.variables.end()) {
    const std::string_view meant = nearest(e.text, code_.variables);
    fail(
        e.offset,
        std::string(e.text) + " is not set" +
            (meant.empty() ? "; SET it before SELECT" : "; did you mean " + std::string(meant) + "?"
            )
    );
    return constant({});
  }
  return add(
      {Op::kVariable, 0, 0, static_cast<std::uint32_t>(found - code_.variables.begin())}, false
  );
}

NodeIndex Compiler::index(const Expr& e, const Scope& scope) {
  extension(e.offset, "x[n] for get(x, n)");
  const std::vector<NodeIndex> operands = {
      expression(*e.children[0], scope), expression(*e.children[1], scope)};
  const auto get = static_cast<std::uint8_t>(find_function("get") - functions().data());
  return add({Op::kCall, get, 2, add_operands(operands)}, are_constant(operands));
}

NodeIndex Compiler::cast(const Expr& e, const Scope& scope) {
  struct Type {
    std::string_view name;
    CastType type;
    bool since_2016;
  };

  static constexpr Type kTypes[] = {
      {"String", CastType::kString, false},
      {"Nvarchar", CastType::kString, false},
      {"Varchar", CastType::kString, false},
      {"Text", CastType::kString, false},
      {"Ntext", CastType::kString, false},
      {"Int", CastType::kInt, false},
      {"Integer", CastType::kInt, false},
      {"Double", CastType::kDouble, false},
      {"Decimal", CastType::kDecimal, true},
      {"Bool", CastType::kBoolean, true},
      {"Boolean", CastType::kBoolean, true},
  };
  static constexpr std::string_view kNames[] = {
      "String",
      "Nvarchar",
      "Varchar",
      "Text",
      "Ntext",
      "Int",
      "Integer",
      "Double",
      "Decimal",
      "Bool",
      "Boolean"};
  const NodeIndex value = expression(*e.children.front(), scope);
  for (const Type& type : kTypes) {
    if (equal_ignoring_case(type.name, e.text)) {
      if (type.since_2016) {
        needs_2016(e.offset, "cast() to " + std::string(type.name));
      }
      return add({Op::kCast, static_cast<std::uint8_t>(type.type), 0, value}, is_constant(value));
    }
  }
  const std::string_view meant = nearest(e.text, kNames);
  fail(
      e.offset,
      "cast() knows no type " + std::string(e.text) +
          (meant.empty() ? "; it knows String, Int, Decimal, Double and Boolean"
                         : "; did you mean " + std::string(meant) + "?")
  );
  return value;
}

NodeIndex Compiler::choice(const Expr& e, const Scope& scope) {
  if (!e.has_operand) {
    extension(e.offset, "CASE WHEN condition");
  }
  std::vector<NodeIndex> operands;
  for (const Expr* part : e.children) {
    operands.push_back(expression(*part, scope));
  }
  const auto detail = static_cast<std::uint8_t>((e.has_operand ? 1 : 0) | (e.has_else ? 2 : 0));
  const auto count = static_cast<std::uint16_t>(operands.size());
  return add({Op::kCase, detail, count, add_operands(operands)}, are_constant(operands));
}

NodeIndex Compiler::query(const Expr& e, const Scope& scope) {
  needs_2016(e.offset, e.kind == ExprKind::kExists ? "EXISTS" : "a query inside a statement");
  const Query& query = *e.query;
  QueryCode compiled;
  compiled.source_is_star = query.source->kind == ExprKind::kStar;
  if (!compiled.source_is_star) {
    Scope source = scope;
    source.is_source = true;
    compiled.source = expression(*query.source, source);
  } else {
    remember_path({}, scope);
  }
  const Scope inner{true, false, query.alias.size == 0 ? std::string_view() : query.alias.text()};
  if (query.where != nullptr) {
    compiled.where = expression(*query.where, inner);
  }
  selection(*query.select, inner, compiled.select);
  code_.queries.push_back(std::move(compiled));
  const Op op = e.kind == ExprKind::kExists ? Op::kExists : Op::kSubquery;
  return add({op, 0, 0, static_cast<std::uint32_t>(code_.queries.size() - 1)}, false);
}

NodeIndex Compiler::object(const Expr& e, const Scope& scope) {
  needs_2016(e.offset, "an object");
  std::vector<NodeIndex> operands;
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < e.children.size(); ++i) {
    operands.push_back(expression(*e.children[i], scope));
    names.push_back(keep(string_value(e.keys[i].text())));
  }
  const auto count = static_cast<std::uint16_t>(operands.size());
  return add(
      {Op::kObject, 0, count, add_operands(operands), add_names(names)}, are_constant(operands)
  );
}

NodeIndex Compiler::several(Op op, const Expr& e, const Scope& scope) {
  std::vector<NodeIndex> operands;
  for (const Expr* part : e.children) {
    operands.push_back(expression(*part, scope));
  }
  const auto count = static_cast<std::uint16_t>(operands.size());
  return add({op, 0, count, add_operands(operands)}, are_constant(operands));
}

NodeIndex Compiler::unary(Op op, const Expr& e, const Scope& scope) {
  const NodeIndex operand = expression(*e.children.front(), scope);
  return add({op, 0, 0, operand}, is_constant(operand));
}

NodeIndex Compiler::binary(Op op, const Expr& e, const Scope& scope) {
  const NodeIndex a = expression(*e.children[0], scope);
  const NodeIndex b = expression(*e.children[1], scope);
  return add({op, 0, 0, a, b}, is_constant(a) && is_constant(b));
}

bool Compiler::are_constant(const std::vector<NodeIndex>& nodes) const {
  return std::all_of(nodes.begin(), nodes.end(), [&](NodeIndex node) { return is_constant(node); });
}

}  // namespace iotcore::rules::sql
