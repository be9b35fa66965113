#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace iotcore::rules::sql {

__extension__ using Uint128 = unsigned __int128;
__extension__ using Int128 = __int128;

// A decimal number of at most 34 significant digits, as the dialect computes with: coefficient *
// 10^exponent, without trailing zeros in the coefficient. Results are rounded half to even. What
// has no value (division by zero, a magnitude outside 1E-999 … 9.99E999) is nothing.
class Decimal {
 public:
  static constexpr int kDigits = 34;
  static constexpr int kExponentMax = 999;

  Decimal() = default;
  explicit Decimal(std::int64_t integer);
  static Decimal from_int128(Int128 integer);
  // Rounded to 34 digits; nothing outside the magnitudes.
  static std::optional<Decimal> make(bool negative, Uint128 coefficient, int exponent);
  // JSON syntax, leading zeros and a + before the exponent allowed. Nothing for other text.
  static std::optional<Decimal> parse(std::string_view text);
  // The shortest decimal that reads back as this double.
  static std::optional<Decimal> from_double(double number);

  double to_double() const;

  bool is_zero() const { return coefficient_ == 0; }

  bool is_negative() const { return negative_; }

  // No fraction and at most 34 digits when written out.
  bool is_whole() const;
  // is_whole() and within 64 bits.
  std::optional<std::int64_t> to_int64() const;
  // Only if is_whole().
  Int128 to_int128() const;

  Decimal negated() const;
  // Towards minus infinity, towards plus infinity, half away from zero, towards zero behind n
  // places.
  Decimal floor() const;
  Decimal ceil() const;
  Decimal round() const;
  Decimal truncated(int places) const;

  Uint128 coefficient() const { return coefficient_; }

  int exponent() const { return exponent_; }

  // As java.math.BigDecimal prints: plain down to 0.000001, else 1.5E-7. Whole numbers of up to 34
  // digits are plain.
  void append_to(std::string& out) const;

  friend bool operator==(const Decimal&, const Decimal&) = default;

 private:
  friend int compare(const Decimal& a, const Decimal& b);
  friend std::optional<Decimal> add(const Decimal& a, const Decimal& b);
  friend std::optional<Decimal> multiply(const Decimal& a, const Decimal& b);
  friend std::optional<Decimal> divide(const Decimal& a, const Decimal& b);
  friend std::optional<Decimal> remainder(const Decimal& a, const Decimal& b);
  friend std::optional<Decimal> divide_whole(const Decimal& a, const Decimal& b);

  Decimal integral(bool away_from_zero) const;

  Uint128 coefficient_ = 0;
  std::int32_t exponent_ = 0;
  bool negative_ = false;
};

// -1, 0, 1.
int compare(const Decimal& a, const Decimal& b);
std::optional<Decimal> add(const Decimal& a, const Decimal& b);
std::optional<Decimal> subtract(const Decimal& a, const Decimal& b);
std::optional<Decimal> multiply(const Decimal& a, const Decimal& b);
std::optional<Decimal> divide(const Decimal& a, const Decimal& b);
// The quotient's whole part, towards zero.
std::optional<Decimal> divide_whole(const Decimal& a, const Decimal& b);
// With the sign of the dividend.
std::optional<Decimal> remainder(const Decimal& a, const Decimal& b);

}  // namespace iotcore::rules::sql
