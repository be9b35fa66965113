#include "rules/sql/evaluator.h"

#include "base/crypto.h"
#include "base/json.h"
#include "rules/sql/functions.h"

#include <algorithm>

namespace iotcore::rules::sql {

Evaluator::Evaluator(
    const ProgramData& rule,
    const MessageView& message,
    ParsedPayload& payload,
    ExternalFunctions& external,
    Random& random,
    const EvaluationLimits& limits
)
    : rule_(rule),
      message_(message),
      payload_(payload),
      external_(external),
      random_(random),
      limits_(limits),
      arena_(limits.memory_bytes_max),
      values_(arena_, rule.keeps_decimals()),
      variables_(rule.variables.size()) {}

Value Evaluator::fail(std::string message) {
  if (!failure_) {
    failure_.emplace(Errc::kUnavailable, std::move(message));
  }
  return {};
}

Value Evaluator::exhaust(std::string message) {
  if (!is_exhausted_) {
    is_exhausted_ = true;
    failure_.emplace(Errc::kLimitExceeded, std::move(message));
  }
  return {};
}

bool Evaluator::spend() {
  if (++steps_ > limits_.steps_max) {
    exhaust("the statement takes more than " + std::to_string(limits_.steps_max) + " steps");
  }
  return !failure_;
}

Value Evaluator::string(std::string_view text) {
  return values_.string(text);
}

std::optional<Value> Evaluator::parse(std::string text) {
  text_bytes_ += text.size();
  if (text_bytes_ > limits_.memory_bytes_max) {
    exhaust(
        "the statement needs more than " + std::to_string(limits_.memory_bytes_max) +
        " bytes for JSON that it reads from texts"
    );
    return std::nullopt;
  }
  auto& parsed = *texts_.emplace_back(std::make_unique<ParsedText>());
  parsed.text = std::move(text);
  if (!parsed.tape.parse(parsed.text)) {
    texts_.pop_back();
    return std::nullopt;
  }
  return values_.resolve(Value::on_tape(parsed.tape, 0));
}

Value Evaluator::call_external(std::string_view function, std::span<const Value> arguments) {
  if (failure_) {
    return {};
  }
  if (function == "get_dynamodb" && std::exchange(dynamodb_called_, true)) {
    return fail("get_dynamodb() can be called once in a statement");
  }
  json::array plain;
  for (const Value& argument : arguments) {
    std::string text;
    values_.append_json(text, argument);
    Result<json::value> value = parse_json(text);
    plain.push_back(value ? std::move(*value) : json::value());
  }
  Result<std::string> answer = external_.call(function, plain);
  if (!answer) {
    return fail(std::string(function) + "(): " + answer.error().message());
  }
  std::optional<Value> value = parse(std::move(*answer));
  return value ? *value : fail(std::string(function) + "(): the answer is not JSON");
}

Value Evaluator::payload() {
  return payload_.is_json() ? Value::on_tape(payload_.tape(), 0) : Value::bytes(payload_.bytes());
}

Value Evaluator::path(const ProgramData& code, const Node& node, Value from) const {
  for (std::uint32_t i = 0; i < node.count && from.kind() == Kind::kObject; ++i) {
    from = values_.member(from, code.names[node.a + i]);
    if (i + 1 == node.count) {
      return from;
    }
  }
  return {};
}

Value Evaluator::variable(std::uint32_t slot) {
  Variable& variable = variables_[slot];
  if (!variable.is_known) {
    variable.is_known = true;
    Value value = eval(rule_, rule_.variable_values[slot], nullptr);
    if (value.kind() == Kind::kBytes) {
      value = Value();  // raw bytes must be encoded first
    }
    if (value.is_container() || value.kind() == Kind::kString) {
      std::string text;
      values_.append_json(text, value);
      if (text.size() > limits_.result_bytes_max) {
        return exhaust(std::string(rule_.variables[slot]) + " is larger than a variable may be");
      }
    }
    variables_[slot].value = value;
  }
  return variables_[slot].value;
}

Value Evaluator::eval(const ProgramData& code, NodeIndex index, const Value* current) {
  if (!spend()) {
    return {};
  }
  const Node& node = code.nodes[index];
  switch (node.op) {
    case Op::kConstant:
      return code.constants[node.a];
    case Op::kField:
      return path(code, node, current_value(current));
    case Op::kFieldOrOuter: {
      const Value inner = current_value(current);
      const bool is_inner = !values_.member(inner, code.names[node.a]).is_undefined();
      return path(code, node, is_inner ? inner : payload());
    }
    case Op::kCurrent:
      return current_value(current);
    case Op::kVariable:
      return variable(node.a);
    case Op::kMember:
      return path(code, node, eval(code, node.b, current));
    case Op::kCall:
      return call(code, node, current);
    case Op::kGetOrDefault:
      return get_or_default(code, node, current);
    case Op::kCast:
      return operators::cast(
          values_, static_cast<CastType>(node.detail), eval(code, node.a, current)
      );
    case Op::kCase: {
      const std::optional<NodeIndex> chosen = choose(code, node, current);
      return chosen ? eval(code, *chosen, current) : Value();
    }
    case Op::kExists:
      return exists(code, node, current);
    case Op::kSubquery:
      return subquery(code, code.queries[node.a], current);
    case Op::kObject:
      return object(code, node, current);
    case Op::kArray:
      return array(code, node, current);
    case Op::kAnd:
    case Op::kOr:
      return logic(code, node, current);
    case Op::kNot: {
      const std::optional<bool> b = values_.to_boolean(eval(code, node.a, current));
      return b ? Value::boolean(!*b) : Value();
    }
    case Op::kNegate:
      return operators::negate(values_, eval(code, node.a, current));
    default:
      return binary(code, node, current);
  }
}

Value Evaluator::binary(const ProgramData& code, const Node& node, const Value* current) {
  const Value a = eval(code, node.a, current);
  const Value b = eval(code, node.b, current);
  switch (node.op) {
    case Op::kIn:
      return in(a, b);
    case Op::kAdd:
    case Op::kSubtract:
    case Op::kMultiply:
    case Op::kDivide:
    case Op::kRemainder:
      return operators::arithmetic(values_, code.options, node.op, a, b);
    default:
      return operators::compare(values_, node.op, a, b);
  }
}

Value Evaluator::in(const Value& value, const Value& array) {
  if (value.is_undefined() || array.is_undefined()) {
    return {};
  }
  bool found = false;
  if (array.kind() == Kind::kArray) {
    for_each_element(array, [&](const Value& element) {
      found = found || (spend() && values_.equal(value, values_.resolve(element)));
    });
  }
  return Value::boolean(found);
}

// Three-valued: what one side decides is decided, unless the options say that every side must be
// Boolean.
Value Evaluator::logic(const ProgramData& code, const Node& node, const Value* current) {
  const bool deciding = node.op == Op::kOr;
  bool is_unknown = false;
  bool is_decided = false;
  for (std::uint32_t i = 0; i < node.count; ++i) {
    const Value value = eval(code, code.operands[node.a + i], current);
    const std::optional<bool> b = values_.to_boolean(value);
    is_unknown = is_unknown || !b;
    if (b == deciding) {
      if (!code.options.strict_undefined) {
        return Value::boolean(deciding);
      }
      is_decided = true;
    }
  }
  return is_unknown ? Value() : Value::boolean(is_decided == deciding);
}

Value Evaluator::call(const ProgramData& code, const Node& node, const Value* current) {
  constexpr std::size_t kFew = 8;
  Value few[kFew];
  Value* arguments = node.count <= kFew ? few : arena_.array<Value>(node.count);
  if (arguments == nullptr) {
    return {};
  }
  for (std::uint32_t i = 0; i < node.count; ++i) {
    arguments[i] = eval(code, code.operands[node.a + i], current);
  }
  if (failure_) {
    return {};
  }
  const re2::RE2* const expression = node.b == 0 ? nullptr : code.expressions[node.b - 1].get();
  return functions()[node.detail].body({*this, {arguments, node.count}, expression});
}

Value Evaluator::get_or_default(const ProgramData& code, const Node& node, const Value* current) {
  const Value value = eval(code, code.operands[node.a], current);
  if (is_exhausted_) {
    return {};
  }
  const bool failed = failure_.has_value();
  failure_.reset();
  if (!failed && !value.is_undefined() && !value.is_null()) {
    return value;
  }
  return node.count > 1 ? eval(code, code.operands[node.a + 1], current) : Value();
}

std::optional<NodeIndex> Evaluator::choose(
    const ProgramData& code, const Node& node, const Value* current
) {
  const bool has_operand = (node.detail & 1U) != 0;
  const bool has_else = (node.detail & 2U) != 0;
  std::uint32_t at = node.a;
  const std::uint32_t end = node.a + node.count - (has_else ? 1U : 0U);
  Value operand;
  if (has_operand) {
    operand = eval(code, code.operands[at++], current);
    if (operand.is_undefined()) {
      return std::nullopt;
    }
  }
  for (; at + 1 < end; at += 2) {
    const Value when = eval(code, code.operands[at], current);
    const bool is_it =
        has_operand ? !when.is_undefined() && values_.equal(operand, when) : when.is_true();
    if (is_it) {
      return code.operands[at + 1];
    }
  }
  return has_else ? std::optional(code.operands[end]) : std::nullopt;
}

Value Evaluator::object(const ProgramData& code, const Node& node, const Value* current) {
  Member* const members = arena_.array<Member>(node.count);
  if (members == nullptr) {
    return {};
  }
  std::size_t count = 0;
  for (std::uint32_t i = 0; i < node.count; ++i) {
    const std::string_view key = code.names[node.b + i];
    const Value value = eval(code, code.operands[node.a + i], current);
    std::size_t at = 0;
    while (at < count && members[at].key != key) {
      ++at;
    }
    new (members + at) Member{key, value};
    count = std::max(count, at + 1);
  }
  return Value::object({members, count});
}

Value Evaluator::array(const ProgramData& code, const Node& node, const Value* current) {
  Value* const elements = arena_.array<Value>(node.count);
  if (elements == nullptr) {
    return {};
  }
  for (std::uint32_t i = 0; i < node.count; ++i) {
    new (elements + i) Value(eval(code, code.operands[node.a + i], current));
  }
  return Value::array({elements, node.count});
}

}  // namespace iotcore::rules::sql
