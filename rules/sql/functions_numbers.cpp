#include "rules/sql/function_bodies.h"

#include <cmath>

namespace iotcore::rules::sql::bodies {
namespace {

std::optional<double> real_argument(const Call& call, std::size_t i) {
  const std::optional<Decimal> d = call.values().to_decimal(call[i]);
  return d ? std::optional<double>(d->to_double()) : std::nullopt;
}

// Computed in IEEE double; what is not a finite number is Undefined.
template <typename F>
Value real(const Call& call, F f) {
  const std::optional<double> x = real_argument(call, 0);
  return x ? call.values().from_double(f(*x)) : Value();
}

template <typename F>
Value real2(const Call& call, F f) {
  const std::optional<double> x = real_argument(call, 0);
  const std::optional<double> y = real_argument(call, 1);
  return x && y ? call.values().from_double(f(*x, *y)) : Value();
}

Value whole(const Call& call, const Decimal& d) {
  return d.is_whole() ? Value::integer(d) : call.values().number(d);
}

template <typename F>
Value rounded(const Call& call, F f) {
  if (call[0].kind() == Kind::kInt) {
    return call[0];
  }
  const std::optional<Decimal> d = call.values().to_decimal(call[0]);
  return d ? whole(call, f(*d)) : Value();
}

template <typename F>
Value bits(const Call& call, F f) {
  const std::optional<Decimal> a = call.values().to_floor(call[0]);
  const std::optional<Decimal> b = call.values().to_floor(call[1]);
  if (!a || !b || !a->is_whole() || !b->is_whole()) {
    return {};
  }
  return whole(call, Decimal::from_int128(f(a->to_int128(), b->to_int128())));
}

}  // namespace

Value abs(const Call& call) {
  const std::optional<Decimal> d = call.values().to_decimal(call[0]);
  if (!d) {
    return {};
  }
  const Decimal magnitude = d->is_negative() ? d->negated() : *d;
  return call[0].kind() == Kind::kInt ? Value::integer(magnitude) : call.values().number(magnitude);
}

Value acos(const Call& call) {
  return real(call, [](double x) { return std::acos(x); });
}

Value asin(const Call& call) {
  return real(call, [](double x) { return std::asin(x); });
}

Value atan(const Call& call) {
  return real(call, [](double x) { return std::atan(x); });
}

Value atan2(const Call& call) {
  return real2(call, [](double y, double x) { return std::atan2(y, x); });
}

Value bit_and(const Call& call) {
  return bits(call, [](Int128 a, Int128 b) { return a & b; });
}

Value bit_or(const Call& call) {
  return bits(call, [](Int128 a, Int128 b) { return a | b; });
}

Value bit_xor(const Call& call) {
  return bits(call, [](Int128 a, Int128 b) { return a ^ b; });
}

Value bit_not(const Call& call) {
  const std::optional<Decimal> a = call.values().to_floor(call[0]);
  return a && a->is_whole() ? whole(call, Decimal::from_int128(~a->to_int128())) : Value();
}

Value ceil(const Call& call) {
  return rounded(call, [](const Decimal& d) { return d.ceil(); });
}

Value floor(const Call& call) {
  return rounded(call, [](const Decimal& d) { return d.floor(); });
}

Value cos(const Call& call) {
  return real(call, [](double x) { return std::cos(x); });
}

Value cosh(const Call& call) {
  return real(call, [](double x) { return std::cosh(x); });
}

Value sin(const Call& call) {
  return real(call, [](double x) { return std::sin(x); });
}

Value sinh(const Call& call) {
  return real(call, [](double x) { return std::sinh(x); });
}

Value tan(const Call& call) {
  return real(call, [](double x) { return std::tan(x); });
}

Value tanh(const Call& call) {
  return real(call, [](double x) { return std::tanh(x); });
}

Value exp(const Call& call) {
  return real(call, [](double x) { return std::exp(x); });
}

Value ln(const Call& call) {
  return real(call, [](double x) { return std::log(x); });
}

Value log(const Call& call) {
  return real(call, [](double x) { return std::log10(x); });
}

Value mod(const Call& call) {
  return operators::arithmetic(call.values(), {}, Op::kRemainder, call[0], call[1]);
}

Value nanvl(const Call& call) {
  return call[0].is_undefined() || call[0].is_null() ? call[1] : call[0];
}

Value power(const Call& call) {
  return real2(call, [](double a, double b) { return std::pow(a, b); });
}

Value sqrt(const Call& call) {
  return real(call, [](double x) { return std::sqrt(x); });
}

Value rand(const Call& call) {
  // The 53 bits that a double holds.
  const auto bits53 = static_cast<double>(call.evaluator.random().next() >> 11);
  return call.values().from_double(bits53 * 0x1p-53);
}

Value round(const Call& call) {
  return rounded(call, [](const Decimal& d) { return d.round(); });
}

Value sign(const Call& call) {
  const std::optional<Decimal> d = call.values().to_decimal(call[0]);
  return d ? Value::integer(d->is_zero() ? 0 : d->is_negative() ? -1 : 1) : Value();
}

Value trunc(const Call& call) {
  const std::optional<Decimal> d = call.values().to_decimal(call[0]);
  const std::optional<Decimal> n = call.values().to_floor(call[1]);
  if (!d || !n) {
    return {};
  }
  if (call[0].kind() == Kind::kInt) {
    return call[0];
  }
  const int places = n->is_negative()
                         ? 0
                         : static_cast<int>(std::min<std::int64_t>(n->to_int64().value_or(34), 34));
  return call.values().number(d->truncated(places));
}

}  // namespace iotcore::rules::sql::bodies
