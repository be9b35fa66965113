#include "rules/sql/evaluator.h"

#include <cmath>

namespace iotcore::rules::sql::operators {
namespace {

bool holds(Op op, int order) {
  switch (op) {
    case Op::kLess:
      return order < 0;
    case Op::kLessEqual:
      return order <= 0;
    case Op::kGreater:
      return order > 0;
    default:
      return order >= 0;
  }
}

Value add_text(const Values& values, const Value& a, const Value& b) {
  const std::optional<std::string_view> left = values.to_text(a);
  const std::optional<std::string_view> right = values.to_text(b);
  if (!left || !right) {
    return {};
  }
  char* const place = values.arena().array<char>(left->size() + right->size());
  if (place == nullptr) {
    return {};
  }
  left->copy(place, left->size());
  right->copy(place + left->size(), right->size());
  return Value::string({place, left->size() + right->size()});
}

std::optional<Value> small_arithmetic(Op op, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  switch (op) {
    case Op::kAdd:
      return __builtin_add_overflow(a, b, &result) ? std::nullopt
                                                   : std::optional<Value>(Value::integer(result));
    case Op::kSubtract:
      return __builtin_sub_overflow(a, b, &result) ? std::nullopt
                                                   : std::optional<Value>(Value::integer(result));
    case Op::kMultiply:
      return __builtin_mul_overflow(a, b, &result) ? std::nullopt
                                                   : std::optional<Value>(Value::integer(result));
    default:
      return std::nullopt;
  }
}

std::optional<Decimal> compute(Op op, const Decimal& a, const Decimal& b, bool whole_quotient) {
  switch (op) {
    case Op::kAdd:
      return add(a, b);
    case Op::kSubtract:
      return subtract(a, b);
    case Op::kMultiply:
      return multiply(a, b);
    case Op::kDivide:
      return whole_quotient ? divide_whole(a, b) : divide(a, b);
    default:
      return remainder(a, b);
  }
}

}  // namespace

Value compare(const Values& values, Op op, const Value& a, const Value& b) {
  if (op == Op::kEqual || op == Op::kNotEqual) {
    if (a.is_undefined() || b.is_undefined()) {
      return {};
    }
    return Value::boolean(values.equal(a, b) == (op == Op::kEqual));
  }
  if (a.is_small() && b.is_small()) {
    return Value::boolean(holds(op, a.small() < b.small() ? -1 : a.small() > b.small() ? 1 : 0));
  }
  const std::optional<Decimal> left = values.to_decimal(a);
  const std::optional<Decimal> right = values.to_decimal(b);
  return left && right ? Value::boolean(holds(op, sql::compare(*left, *right))) : Value();
}

Value arithmetic(
    const Values& values, const CompileOptions& options, Op op, const Value& a, const Value& b
) {
  if (a.is_small() && b.is_small()) {
    if (const std::optional<Value> quick = small_arithmetic(op, a.small(), b.small())) {
      return *quick;
    }
  }
  if (op == Op::kAdd) {
    if (a.kind() == Kind::kString || b.kind() == Kind::kString) {
      return add_text(values, a, b);
    }
    if (!a.is_number() || !b.is_number()) {
      return {};
    }
  }
  const std::optional<Decimal> left = values.to_decimal(a);
  const std::optional<Decimal> right = values.to_decimal(b);
  if (!left || !right) {
    return {};
  }
  const bool both_int = a.kind() == Kind::kInt && b.kind() == Kind::kInt;
  const std::optional<Decimal> result =
      compute(op, *left, *right, both_int && !options.exact_int_division);
  if (!result) {
    return {};
  }
  return both_int && result->is_whole() ? Value::integer(*result) : values.number(*result);
}

Value negate(const Values& values, const Value& a) {
  const std::optional<Decimal> d = values.to_decimal(a);
  if (!d) {
    return {};
  }
  return a.kind() == Kind::kInt ? Value::integer(d->negated()) : values.number(d->negated());
}

namespace {

Value cast_number(const Values& values, CastType type, const Value& value) {
  std::optional<Decimal> d = values.to_decimal(value);
  if (value.kind() == Kind::kBoolean) {
    d = Decimal(value.as_boolean() ? 1 : 0);
  }
  if (!d) {
    return {};
  }
  if (type == CastType::kInt) {
    const Decimal whole = d->floor();
    return whole.is_whole() ? Value::integer(whole) : values.number(whole);
  }
  return type == CastType::kDouble ? values.from_double(d->to_double()) : values.number(*d);
}

}  // namespace

Value cast(const Values& values, CastType type, const Value& value) {
  if (value.is_undefined() || value.is_null()) {
    return {};
  }
  switch (type) {
    case CastType::kString: {
      const std::optional<std::string_view> text = values.to_text(value);
      return text ? Value::string(*text) : Value();
    }
    case CastType::kBoolean: {
      if (value.is_number()) {
        return Value::boolean(!value.number().is_zero());
      }
      const std::optional<bool> b = values.to_boolean(value);
      return b ? Value::boolean(*b) : Value();
    }
    default:
      return cast_number(values, type, value);
  }
}

}  // namespace iotcore::rules::sql::operators
