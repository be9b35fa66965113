// Expressions with get_secret() in them, while secrets are withheld: computed as far as they can be without it, and written down as SQL.
#include "base/crypto.h"
#include "rules/sql/evaluator.h"
#include "rules/sql/functions.h"
#include "rules/sql/withheld.h"

#include <algorithm>
#include <utility>

namespace iotcore::rules::sql {
namespace {

bool is_get_secret(const Node& node) {
  static const auto kIndex =
      static_cast<std::uint8_t>(find_function("get_secret") - functions().data());
  return node.op == Op::kCall && node.detail == kIndex;
}

// The nodes directly under it, but for those of subqueries.
template <typename Act>
bool any_below(const ProgramData& code, const Node& node, const Act& act) {
  switch (node.op) {
    case Op::kConstant:
    case Op::kField:
    case Op::kFieldOrOuter:
    case Op::kCurrent:
    case Op::kVariable:
    case Op::kExists:
    case Op::kSubquery:
      return false;
    case Op::kMember:
      return act(node.b);
    case Op::kCast:
    case Op::kNot:
    case Op::kNegate:
      return act(node.a);
    case Op::kCall:
    case Op::kGetOrDefault:
    case Op::kCase:
    case Op::kObject:
    case Op::kArray:
    case Op::kAnd:
    case Op::kOr:
      return std::any_of(
          code.operands.begin() + node.a, code.operands.begin() + node.a + node.count, act
      );
    default:
      return act(node.a) || act(node.b);
  }
}

std::string_view sign_of(Op op) {
  switch (op) {
    case Op::kAdd:
      return " + ";
    case Op::kSubtract:
      return " - ";
    case Op::kMultiply:
      return " * ";
    case Op::kDivide:
      return " / ";
    case Op::kRemainder:
      return " % ";
    default:
      return {};
  }
}

std::string_view name_of(CastType type) {
  switch (type) {
    case CastType::kString:
      return "String";
    case CastType::kInt:
      return "Int";
    case CastType::kDouble:
      return "Double";
    case CastType::kDecimal:
      return "Decimal";
    case CastType::kBoolean:
      break;
  }
  return "Boolean";
}

void append_quoted(std::string& out, std::string_view text) {
  out += '\'';
  for (const char c : text) {
    out += c;
    if (c == '\'') {
      out += c;
    }
  }
  out += '\'';
}

void append_literal(std::string& out, const Values& values, const Value& value) {
  const auto separate = [&out](bool& is_first) {
    out += std::exchange(is_first, false) ? "" : ", ";
  };
  bool is_first = true;
  switch (value.kind()) {
    case Kind::kUndefined:
      out += "nothing";  // a member of no payload
      return;
    case Kind::kString:
      append_quoted(out, value.text());
      return;
    case Kind::kBytes:
      out += "decode(";
      append_quoted(out, to_base64(value.text()));
      out += ", 'base64')";
      return;
    case Kind::kArray:
      out += '[';
      for_each_element(value, [&](const Value& element) {
        separate(is_first);
        append_literal(out, values, values.resolve(element));
      });
      out += ']';
      return;
    case Kind::kObject:
      out += '{';
      for_each_member(values, value, [&](std::string_view key, const Value& member) {
        separate(is_first);
        append_quoted(out, key);
        out += ": ";
        append_literal(out, values, values.resolve(member));
      });
      out += '}';
      return;
    default:
      values.append_json(out, value);
  }
}

}  // namespace

bool takes_secret(const ProgramData& code, const ProgramData& rule, NodeIndex index) {
  const Node& node = code.nodes[index];
  if (node.op == Op::kVariable) {
    return takes_secret(rule, rule, rule.variable_values[node.a]);
  }
  return is_get_secret(node) ||
         any_below(code, node, [&](NodeIndex below) { return takes_secret(code, rule, below); });
}

bool can_withhold(const ProgramData& code, const ProgramData& rule, NodeIndex index) {
  if (!takes_secret(code, rule, index)) {
    return true;
  }
  const Node& node = code.nodes[index];
  const auto cannot = [&](NodeIndex below) { return !can_withhold(code, rule, below); };
  switch (node.op) {
    case Op::kVariable:
      return can_withhold(rule, rule, rule.variable_values[node.a]);
    case Op::kCase: {
      // Which of them it is, is known without the secret.
      const std::uint32_t first = node.a + (node.detail & 1U);
      for (std::uint32_t at = node.a; at < node.a + node.count; ++at) {
        const bool is_else = (node.detail & 2U) != 0 && at + 1 == node.a + node.count;
        const bool is_result = is_else || (at >= first && (at - first) % 2 == 1);
        if (!is_result && takes_secret(code, rule, code.operands[at])) {
          return false;
        }
      }
      return !any_below(code, node, cannot);
    }
    case Op::kCall:
    case Op::kGetOrDefault:
    case Op::kMember:
    case Op::kCast:
      return !any_below(code, node, cannot);
    default:
      return !sign_of(node.op).empty() && !any_below(code, node, cannot);
  }
}

void Evaluator::append_residual(std::string& out, const ProgramData& code, NodeIndex index) {
  const Node& node = code.nodes[index];
  if (!takes_secret(code, rule_, index)) {
    append_literal(out, values_, values_.resolve(eval(code, index, nullptr)));
    return;
  }
  const auto append_list = [&](std::string_view name) {
    out.append(name).append("(");
    for (std::uint32_t i = 0; i < node.count; ++i) {
      out += i == 0 ? "" : ", ";
      append_residual(out, code, code.operands[node.a + i]);
    }
    out += ')';
  };
  switch (node.op) {
    case Op::kVariable:
      append_residual(out, rule_, rule_.variable_values[node.a]);
      return;
    case Op::kCall:
    case Op::kGetOrDefault:
      append_list(functions()[node.detail].name);
      return;
    case Op::kCast:
      out += "CAST(";
      append_residual(out, code, node.a);
      out.append(" AS ").append(name_of(static_cast<CastType>(node.detail))).append(")");
      return;
    case Op::kCase:
      if (const std::optional<NodeIndex> chosen = choose(code, node, nullptr)) {
        append_residual(out, code, *chosen);
      } else {
        append_literal(out, values_, {});
      }
      return;
    case Op::kMember: {
      std::string of;
      append_residual(of, code, node.b);
      for (std::uint32_t i = 0; i < node.count; ++i) {
        of = "get(" + of + ", ";
        append_quoted(of, code.names[node.a + i]);
        of += ')';
      }
      out += of;
      return;
    }
    default:
      out += '(';
      append_residual(out, code, node.a);
      out += sign_of(node.op);
      append_residual(out, code, node.b);
      out += ')';
  }
}

bool Evaluator::withholds(const ProgramData& code, NodeIndex index) const {
  return withholds_ && code.reads_secret && takes_secret(code, rule_, index) &&
         can_withhold(code, rule_, index);
}

std::string Evaluator::withheld(const ProgramData& code, NodeIndex index) {
  std::string expression;
  append_residual(expression, code, index);
  return withheld({Withheld::Kind::kExpression, std::move(expression)});
}

std::string Evaluator::withheld(const Withheld& what) {
  if (secret_mark_.empty()) {
    secret_mark_ = new_withheld_mark();
  }
  std::string out;
  append_withheld(out, secret_mark_, what);
  return out;
}

}  // namespace iotcore::rules::sql
