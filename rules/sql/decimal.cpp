#include "rules/sql/decimal.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

namespace iotcore::rules::sql {
namespace {

constexpr std::array<Uint128, 39> kPowers = [] {
  std::array<Uint128, 39> powers{};
  powers[0] = 1;
  for (std::size_t i = 1; i < powers.size(); ++i) {
    powers[i] = powers[i - 1] * 10;
  }
  return powers;
}();

Uint128 power_of_ten(int n) {
  return kPowers[static_cast<std::size_t>(n)];
}

int digit_count(Uint128 value) {
  if (value < 10) {
    return 1;
  }
  const auto high = static_cast<std::uint64_t>(value >> 64);
  const auto low = static_cast<std::uint64_t>(value);
  const int bits = high != 0 ? 128 - __builtin_clzll(high) : 64 - __builtin_clzll(low);
  const int estimate = (bits * 1233) >> 12;  // log10(2) = 0.30103
  return value >= power_of_ten(std::min(estimate, 38)) ? estimate + 1 : estimate;
}

// 256 bits, as much as a product or a scaled sum of two coefficients needs.
struct Uint256 {
  Uint128 high = 0;
  Uint128 low = 0;
};

Uint256 multiply_wide(Uint128 a, Uint128 b) {
  const Uint128 mask = ~std::uint64_t{0};
  const Uint128 a0 = a & mask;
  const Uint128 a1 = a >> 64;
  const Uint128 b0 = b & mask;
  const Uint128 b1 = b >> 64;
  const Uint128 p00 = a0 * b0;
  const Uint128 p01 = a0 * b1;
  const Uint128 p10 = a1 * b0;
  const Uint128 middle = (p00 >> 64) + (p01 & mask) + (p10 & mask);
  return {a1 * b1 + (p01 >> 64) + (p10 >> 64) + (middle >> 64), (middle << 64) | (p00 & mask)};
}

Uint256 add_wide(Uint256 a, Uint256 b) {
  Uint256 sum{a.high + b.high, a.low + b.low};
  sum.high += sum.low < a.low ? 1U : 0U;
  return sum;
}

Uint256 subtract_wide(Uint256 a, Uint256 b) {
  Uint256 difference{a.high - b.high, a.low - b.low};
  difference.high -= a.low < b.low ? 1U : 0U;
  return difference;
}

bool less_wide(Uint256 a, Uint256 b) {
  return a.high != b.high ? a.high < b.high : a.low < b.low;
}

struct Quotient {
  Uint256 quotient;
  Uint128 remainder = 0;
};

// The divisor is below 2^127, so that the running remainder fits when it is doubled.
Quotient divide_wide(Uint256 a, Uint128 by) {
  Quotient result;
  if (a.high == 0) {
    result.quotient.low = a.low / by;
    result.remainder = a.low % by;
    return result;
  }
  result.quotient.high = a.high / by;
  Uint128 running = a.high % by;
  if ((by >> 64) == 0) {
    // Two steps of 128 by 64 bits; the remainder is below 2^64.
    const Uint128 upper = (running << 64) | (a.low >> 64);
    const Uint128 q1 = upper / by;
    const Uint128 lower = ((upper % by) << 64) | static_cast<std::uint64_t>(a.low);
    result.quotient.low = (q1 << 64) + lower / by;
    result.remainder = lower % by;
    return result;
  }
  Uint128 low = 0;
  for (int bit = 127; bit >= 0; --bit) {
    running = (running << 1) | ((a.low >> bit) & 1U);
    low <<= 1;
    if (running >= by) {
      running -= by;
      low |= 1U;
    }
  }
  result.quotient.low = low;
  result.remainder = running;
  return result;
}

int digit_count_wide(Uint256 value) {
  if (value.high == 0) {
    return digit_count(value.low);
  }
  const Quotient q = divide_wide(value, power_of_ten(38));
  // At most 10^77: the quotient fits 128 bits for everything we compute.
  return 38 + digit_count(q.quotient.low);
}

struct Rounded {
  Uint128 coefficient = 0;
  int exponent = 0;
};

// Half to even at 34 digits. `sticky`: the true value is a little more than `value`.
Rounded round_wide(Uint256 value, int exponent, bool sticky = false) {
  const int excess = digit_count_wide(value) - Decimal::kDigits;
  if (excess <= 0) {
    return {value.low, exponent};
  }
  Uint256 rest = value;
  int more = excess;
  bool below = sticky;
  while (more > 36) {
    const Quotient q = divide_wide(rest, power_of_ten(36));
    below = below || q.remainder != 0;
    rest = q.quotient;
    more -= 36;
  }
  const Uint128 by = power_of_ten(more);
  const Quotient q = divide_wide(rest, by);
  Uint128 coefficient = q.quotient.low;
  const Uint128 half = by / 2;
  if (q.remainder > half || (q.remainder == half && (below || (coefficient & 1U) != 0))) {
    ++coefficient;
  }
  return {coefficient, exponent + excess};
}

}  // namespace

Decimal::Decimal(std::int64_t integer) : Decimal(from_int128(integer)) {}

Decimal Decimal::from_int128(Int128 integer) {
  const bool negative = integer < 0;
  const Uint128 magnitude =
      negative ? Uint128{0} - static_cast<Uint128>(integer) : static_cast<Uint128>(integer);
  return make(negative, magnitude, 0).value_or(Decimal());
}

std::optional<Decimal> Decimal::make(bool negative, Uint128 coefficient, int exponent) {
  if (coefficient >= power_of_ten(kDigits)) {
    const Rounded rounded = round_wide({0, coefficient}, exponent);
    coefficient = rounded.coefficient;
    exponent = rounded.exponent;
  }
  Decimal d;
  if (coefficient == 0) {
    return d;
  }
  if ((coefficient >> 64) != 0) {
    while (coefficient % 10 == 0) {
      coefficient /= 10;
      ++exponent;
    }
  } else {
    auto small = static_cast<std::uint64_t>(coefficient);
    while (small % 10 == 0) {
      small /= 10;
      ++exponent;
    }
    coefficient = small;
  }
  const int adjusted = exponent + digit_count(coefficient) - 1;
  if (adjusted > kExponentMax || adjusted < -kExponentMax) {
    return std::nullopt;
  }
  d.coefficient_ = coefficient;
  d.exponent_ = exponent;
  d.negative_ = negative;
  return d;
}

std::optional<Decimal> Decimal::parse(std::string_view text) {
  std::size_t i = 0;
  const bool negative = !text.empty() && text[0] == '-';
  i += negative ? 1U : 0U;
  Uint128 coefficient = 0;
  int exponent = 0;
  int digits = 0;  // significant ones taken
  bool point = false;
  bool any = false;
  bool sticky = false;  // digits beyond those taken
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '.') {
      if (point || !any || i + 1 == text.size()) {
        return std::nullopt;
      }
      point = true;
      continue;
    }
    if (c < '0' || c > '9') {
      break;
    }
    any = true;
    const auto digit = static_cast<unsigned>(c - '0');
    if (digits < 37) {  // three more than kept: enough to round, with the sticky digit
      coefficient = coefficient * 10 + digit;
      digits += coefficient != 0 ? 1 : 0;
      exponent -= point ? 1 : 0;
    } else {
      sticky = sticky || digit != 0;
      exponent += point ? 0 : 1;
    }
  }
  if (!any) {
    return std::nullopt;
  }
  if (i < text.size()) {
    if ((text[i] != 'e' && text[i] != 'E') || text[i - 1] == '.') {
      return std::nullopt;
    }
    ++i;
    i += i < text.size() && text[i] == '+' ? 1U : 0U;
    int written = 0;
    const auto [end, error] = std::from_chars(text.data() + i, text.data() + text.size(), written);
    if (end != text.data() + text.size() || error == std::errc::invalid_argument) {
      return std::nullopt;
    }
    if (error != std::errc() || written > 100'000 || written < -100'000) {
      return coefficient == 0 ? std::optional<Decimal>(Decimal()) : std::nullopt;
    }
    exponent += written;
  }
  if (sticky && coefficient % 10 == 0) {
    ++coefficient;  // not a tie
  }
  return make(negative, coefficient, exponent);
}

std::optional<Decimal> Decimal::from_double(double number) {
  if (!std::isfinite(number)) {
    return std::nullopt;
  }
  char text[40];
  const auto [end, error] =
      std::to_chars(text, text + sizeof text, number, std::chars_format::scientific);
  return parse({text, static_cast<std::size_t>(end - text)});
}

double Decimal::to_double() const {
  if (exponent_ == 0 && coefficient_ < (Uint128{1} << 53)) {
    const auto exact = static_cast<double>(static_cast<std::uint64_t>(coefficient_));
    return negative_ ? -exact : exact;
  }
  std::string text;
  append_to(text);
  double number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

bool Decimal::is_whole() const {
  return exponent_ >= 0 && (exponent_ == 0 || digit_count(coefficient_) + exponent_ <= kDigits);
}

std::optional<std::int64_t> Decimal::to_int64() const {
  if (!is_whole()) {
    return std::nullopt;
  }
  const Int128 integer = to_int128();
  if (integer > std::numeric_limits<std::int64_t>::max() ||
      integer < std::numeric_limits<std::int64_t>::min()) {
    return std::nullopt;
  }
  return static_cast<std::int64_t>(integer);
}

Int128 Decimal::to_int128() const {
  const auto magnitude = static_cast<Int128>(coefficient_ * power_of_ten(exponent_));
  return negative_ ? -magnitude : magnitude;
}

Decimal Decimal::negated() const {
  Decimal d = *this;
  d.negative_ = !negative_ && coefficient_ != 0;
  return d;
}

// The whole part, or the next one further from zero if there is a fraction.
Decimal Decimal::integral(bool away_from_zero) const {
  if (exponent_ >= 0) {
    return *this;
  }
  Uint128 whole = 0;
  if (-exponent_ <= 38) {
    whole = coefficient_ / power_of_ten(-exponent_);
  }
  return make(negative_, whole + (away_from_zero ? 1U : 0U), 0).value_or(Decimal());
}

Decimal Decimal::floor() const {
  return integral(negative_);
}

Decimal Decimal::ceil() const {
  return integral(!negative_ && exponent_ < 0);
}

Decimal Decimal::round() const {
  if (exponent_ >= 0) {
    return *this;
  }
  bool up = false;
  if (-exponent_ <= 38) {
    const Uint128 by = power_of_ten(-exponent_);
    up = coefficient_ % by >= by / 2;
  }
  return integral(up);
}

Decimal Decimal::truncated(int places) const {
  if (exponent_ >= -places) {
    return *this;
  }
  const int cut = -places - exponent_;
  if (cut > 38) {
    return Decimal();
  }
  return make(negative_, coefficient_ / power_of_ten(cut), -places).value_or(Decimal());
}

void Decimal::append_to(std::string& out) const {
  char digits[40];
  char* const end = digits + sizeof digits;
  char* begin = end;
  Uint128 rest = coefficient_;
  do {
    *--begin = static_cast<char>('0' + static_cast<int>(rest % 10));
    rest /= 10;
  } while (rest != 0);
  const auto count = static_cast<int>(end - begin);
  const std::string_view text(begin, static_cast<std::size_t>(count));
  if (negative_) {
    out.push_back('-');
  }
  if (is_whole()) {
    out.append(text);
    out.append(static_cast<std::size_t>(exponent_), '0');
    return;
  }
  const int adjusted = exponent_ + count - 1;
  if (exponent_ < 0 && adjusted >= -6) {
    if (adjusted < 0) {
      out.append("0.");
      out.append(static_cast<std::size_t>(-adjusted - 1), '0');
      out.append(text);
      return;
    }
    const auto whole = static_cast<std::size_t>(adjusted + 1);
    out.append(text.substr(0, whole));
    out.push_back('.');
    out.append(text.substr(whole));
    return;
  }
  out.push_back(text.front());
  if (count > 1) {
    out.push_back('.');
    out.append(text.substr(1));
  }
  out.append(adjusted < 0 ? "E-" : "E+");
  out.append(std::to_string(std::abs(adjusted)));
}

namespace {

struct Aligned {
  Uint256 a;
  Uint256 b;
  int exponent = 0;
  bool rest = false;  // the one with the smaller exponent has digits below those given
};

constexpr int kWideDigits = 76;

Uint256 scale(Uint128 coefficient, int places) {
  const int first = std::min(places, std::max(0, 38 - digit_count(coefficient)));
  return multiply_wide(coefficient * power_of_ten(first), power_of_ten(places - first));
}

// Both as multiples of the same power of ten, of at most 76 digits.
Aligned align(const Decimal& a, const Decimal& b) {
  if (a.exponent() < b.exponent()) {
    Aligned swapped = align(b, a);
    std::swap(swapped.a, swapped.b);
    return swapped;
  }
  const int shift = a.exponent() - b.exponent();
  const int places = std::min(shift, kWideDigits - digit_count(a.coefficient()));
  Aligned both{scale(a.coefficient(), places), {0, b.coefficient()}, a.exponent() - places, false};
  if (places < shift) {
    const int cut = shift - places;
    const Uint128 by = power_of_ten(std::min(cut, 38));
    both.rest = cut > 38 || b.coefficient() % by != 0;
    both.b.low = cut > 38 ? 0 : b.coefficient() / by;
  }
  return both;
}

}  // namespace

int compare(const Decimal& a, const Decimal& b) {
  if (a.is_zero() || b.is_zero() || a.negative_ != b.negative_) {
    const int sign_a = a.is_zero() ? 0 : a.negative_ ? -1 : 1;
    const int sign_b = b.is_zero() ? 0 : b.negative_ ? -1 : 1;
    return sign_a == sign_b ? 0 : sign_a < sign_b ? -1 : 1;
  }
  const int magnitude_a = a.exponent_ + digit_count(a.coefficient_);
  const int magnitude_b = b.exponent_ + digit_count(b.coefficient_);
  int order = 0;
  if (magnitude_a != magnitude_b) {
    order = magnitude_a < magnitude_b ? -1 : 1;
  } else {
    const Aligned both = align(a, b);
    order = less_wide(both.a, both.b) ? -1 : less_wide(both.b, both.a) ? 1 : 0;
  }
  return a.negative_ ? -order : order;
}

std::optional<Decimal> add(const Decimal& a, const Decimal& b) {
  if (a.is_zero() || b.is_zero()) {
    return a.is_zero() ? b : a;
  }
  Aligned both = align(a, b);
  if (both.rest && a.negative_ != b.negative_) {
    // Take one more away: what is left over then counts as a little more.
    Uint256& smaller = a.exponent_ < b.exponent_ ? both.a : both.b;
    smaller = add_wide(smaller, {0, 1});
  }
  Uint256 magnitude;
  bool negative = a.negative_;
  if (a.negative_ == b.negative_) {
    magnitude = add_wide(both.a, both.b);
  } else if (less_wide(both.a, both.b)) {
    magnitude = subtract_wide(both.b, both.a);
    negative = b.negative_;
  } else {
    magnitude = subtract_wide(both.a, both.b);
  }
  const Rounded rounded = round_wide(magnitude, both.exponent, both.rest);
  return Decimal::make(negative, rounded.coefficient, rounded.exponent);
}

std::optional<Decimal> subtract(const Decimal& a, const Decimal& b) {
  return add(a, b.negated());
}

std::optional<Decimal> multiply(const Decimal& a, const Decimal& b) {
  const bool negative = a.negative_ != b.negative_;
  const int exponent = a.exponent_ + b.exponent_;
  if (((a.coefficient_ | b.coefficient_) >> 56) == 0) {
    return Decimal::make(negative, a.coefficient_ * b.coefficient_, exponent);
  }
  const Rounded rounded = round_wide(multiply_wide(a.coefficient_, b.coefficient_), exponent);
  return Decimal::make(negative, rounded.coefficient, rounded.exponent);
}

std::optional<Decimal> divide(const Decimal& a, const Decimal& b) {
  if (b.is_zero()) {
    return std::nullopt;
  }
  if (a.is_zero()) {
    return a;
  }
  // Scale the dividend until the quotient has at least 36 digits, two more than are kept.
  const int scale =
      std::max(0, Decimal::kDigits + 2 - digit_count(a.coefficient_) + digit_count(b.coefficient_));
  Uint256 scaled = multiply_wide(a.coefficient_, power_of_ten(std::min(scale, 38)));
  int exponent = a.exponent_ - b.exponent_ - std::min(scale, 38);
  Quotient q = divide_wide(scaled, b.coefficient_);
  if (scale > 38 && q.remainder != 0) {
    // The remainder is below 10^34: go on with it for the missing digits.
    const int more = scale - 38;
    const Quotient next =
        divide_wide(multiply_wide(q.remainder, power_of_ten(more)), b.coefficient_);
    q.quotient = add_wide(multiply_wide(q.quotient.low, power_of_ten(more)), next.quotient);
    q.remainder = next.remainder;
    exponent -= more;
  }
  const Rounded rounded = round_wide(q.quotient, exponent, q.remainder != 0);
  return Decimal::make(a.negative_ != b.negative_, rounded.coefficient, rounded.exponent);
}

std::optional<Decimal> divide_whole(const Decimal& a, const Decimal& b) {
  if (b.is_zero()) {
    return std::nullopt;
  }
  if (a.is_whole() && b.is_whole()) {
    return Decimal::from_int128(a.to_int128() / b.to_int128());
  }
  const std::optional<Decimal> quotient = divide(a, b);
  return quotient ? std::optional<Decimal>(quotient->truncated(0)) : std::nullopt;
}

std::optional<Decimal> remainder(const Decimal& a, const Decimal& b) {
  if (b.is_zero()) {
    return std::nullopt;
  }
  if (a.is_zero()) {
    return a;
  }
  const int shift = a.exponent_ - b.exponent_;
  Uint128 rest = 0;
  int exponent = a.exponent_;
  if (shift >= 0) {
    // (a * 10^shift) mod b, digit groups at a time.
    rest = a.coefficient_ % b.coefficient_;
    exponent = b.exponent_;
    for (int left = shift; left > 0 && rest != 0; left -= std::min(left, 38)) {
      rest = divide_wide(multiply_wide(rest, power_of_ten(std::min(left, 38))), b.coefficient_)
                 .remainder;
    }
  } else if (-shift > 38) {
    return a;  // b is beyond 10^38 units of a, and a has at most 34 digits
  } else {
    const Uint256 divisor = multiply_wide(b.coefficient_, power_of_ten(-shift));
    if (divisor.high != 0 || divisor.low > a.coefficient_) {
      return a;
    }
    rest = a.coefficient_ % divisor.low;
  }
  return Decimal::make(a.negative_, rest, exponent);
}

}  // namespace iotcore::rules::sql
