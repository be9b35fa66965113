#include "rules/sql/decimal.h"

#include <catch2/catch.hpp>

#include <cstdint>
#include <string>

namespace iotcore::rules::sql {
namespace {

std::string text(const std::optional<Decimal>& d) {
  if (!d) {
    return "nothing";
  }
  std::string out;
  d->append_to(out);
  return out;
}

Decimal dec(std::string_view t) {
  return Decimal::parse(t).value();
}

TEST_CASE("Decimals print as java.math.BigDecimal does") {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"0", "0"},
      {"-0", "0"},
      {"12", "12"},
      {"1.50", "1.5"},
      {"0.000001", "0.000001"},
      {"0.0000001", "1E-7"},
      {"123E-9", "1.23E-7"},
      {"1E3", "1000"},
      {"12345678901234567890", "12345678901234567890"},
      {"1E33", "1000000000000000000000000000000000"},
      {"1E34", "1E+34"},
      {"-2.411E247", "-2.411E+247"},
      {"0.1234567890123456789012345678901234", "0.1234567890123456789012345678901234"},
      {"0012", "12"},
  };
  for (const auto& [written, shown] : cases) {
    CAPTURE(written);
    CHECK(text(Decimal::parse(written)) == shown);
  }
}

TEST_CASE("What is no decimal does not parse") {
  for (const std::string_view bad :
       {"",
        "-",
        ".5",
        "5.",
        "1e",
        "1e-",
        "--1",
        "1.2.3",
        "0x10",
        " 5",
        "5 ",
        "NaN",
        "1,0",
        "5.e3",
        "1E1000",
        "1E-1000",
        "1E99999999999"}) {
    CAPTURE(bad);
    CHECK_FALSE(Decimal::parse(bad).has_value());
  }
}

TEST_CASE("Results keep 34 digits, half to even") {
  CHECK(text(add(dec("0.1"), dec("0.2"))) == "0.3");
  CHECK(text(multiply(dec("1.1"), dec("1.1"))) == "1.21");
  CHECK(text(divide(dec("1"), dec("3"))) == "0.3333333333333333333333333333333333");
  CHECK(text(divide(dec("2"), dec("3"))) == "0.6666666666666666666666666666666667");
  CHECK(text(divide(dec("7.5"), dec("2"))) == "3.75");
  CHECK(
      text(divide(dec("1"), dec("1234567890123456789012345678901234"))) ==
      "8.100000072900000663390006036849059E-34"
  );
  CHECK(text(divide(dec("1"), dec("0"))) == "nothing");
  // Ties at the 35th digit.
  CHECK(
      text(add(dec("9999999999999999999999999999999998"), dec("0.5"))) ==
      "9999999999999999999999999999999998"
  );
  CHECK(
      text(add(dec("9999999999999999999999999999999997"), dec("0.5"))) ==
      "9999999999999999999999999999999998"
  );
  CHECK(
      text(add(dec("9999999999999999999999999999999998"), dec("0.50000000000000000000000000000001"))
      ) == "9999999999999999999999999999999999"
  );
  CHECK(text(add(dec("9999999999999999999999999999999999"), dec("1"))) == "1E+34");
  CHECK(
      text(Decimal::parse("12345678901234567890123456789012345")) ==
      "1.234567890123456789012345678901234E+34"
  );
  CHECK(
      text(Decimal::parse("12345678901234567890123456789012355")) ==
      "1.234567890123456789012345678901236E+34"
  );
}

TEST_CASE("Numbers far apart add without losing the larger or the direction") {
  CHECK(text(add(dec("1"), dec("1E-40"))) == "1");
  CHECK(text(add(dec("1"), dec("1E-33"))) == "1.000000000000000000000000000000001");
  CHECK(text(subtract(dec("1"), dec("1E-34"))) == "0.9999999999999999999999999999999999");
  CHECK(text(subtract(dec("1"), dec("1E-60"))) == "1");
  CHECK(text(add(dec("1"), dec("9999999999999999999999999999999999E-40"))) == "1.000001");
  CHECK(text(add(dec("1E500"), dec("-1E-500"))) == "1E+500");
  CHECK(text(multiply(dec("9E999"), dec("9E999"))) == "nothing");
  CHECK(text(multiply(dec("1E-999"), dec("0.1"))) == "nothing");
}

TEST_CASE("The remainder has the dividend's sign") {
  CHECK(text(remainder(dec("8.5"), dec("3"))) == "2.5");
  CHECK(text(remainder(dec("-7"), dec("3"))) == "-1");
  CHECK(text(remainder(dec("7"), dec("-3"))) == "1");
  CHECK(text(remainder(dec("1E40"), dec("7"))) == "4");
  CHECK(text(remainder(dec("0.3"), dec("1E50"))) == "0.3");
  CHECK(text(remainder(dec("5"), dec("0.3"))) == "0.2");
  CHECK(text(remainder(dec("5"), dec("0"))) == "nothing");
}

TEST_CASE("Rounding goes where its name says") {
  CHECK(text(dec("-1.2").floor()) == "-2");
  CHECK(text(dec("-1.2").ceil()) == "-1");
  CHECK(text(dec("1.2").ceil()) == "2");
  CHECK(text(dec("-1.5").round()) == "-2");
  CHECK(text(dec("2.5").round()) == "3");
  CHECK(text(dec("2.4").round()) == "2");
  CHECK(text(dec("-0.4").round()) == "0");
  CHECK(text(dec("-2.888").truncated(1)) == "-2.8");
  CHECK(text(dec("1E-50").floor()) == "0");
  CHECK(text(dec("-1E-50").floor()) == "-1");
  CHECK(text(dec("1E-50").round()) == "0");
}

TEST_CASE("Decimals agree with integers and doubles where those are exact") {
  std::uint64_t state = 42;
  const auto next = [&] {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<std::int64_t>(state >> 33) - (1LL << 30);
  };
  for (int i = 0; i < 2000; ++i) {
    const std::int64_t a = next();
    const std::int64_t b = next();
    CHECK(add(Decimal(a), Decimal(b)) == Decimal(a + b));
    CHECK(subtract(Decimal(a), Decimal(b)) == Decimal(a - b));
    CHECK(multiply(Decimal(a), Decimal(b)) == Decimal(a * b));
    CHECK(compare(Decimal(a), Decimal(b)) == (a < b ? -1 : a > b ? 1 : 0));
    if (b != 0) {
      CHECK(divide_whole(Decimal(a), Decimal(b)) == Decimal(a / b));
      CHECK(remainder(Decimal(a), Decimal(b)) == Decimal(a % b));
      // (a / b) * b is a again, to 33 digits.
      const Decimal back = multiply(divide(Decimal(a), Decimal(b)).value(), Decimal(b)).value();
      CHECK(back.to_double() == Approx(static_cast<double>(a)));
    }
    const double d = static_cast<double>(a) / 1024.0;
    CHECK(Decimal::from_double(d)->to_double() == d);
  }
}

TEST_CASE("Order does not depend on how a number is written") {
  CHECK(compare(dec("1E3"), dec("1000")) == 0);
  CHECK(compare(dec("1E-3"), dec("1E3")) < 0);
  CHECK(compare(dec("-1E3"), dec("1E-3")) < 0);
  CHECK(compare(dec("-1E3"), dec("-1E-3")) < 0);
  CHECK(compare(dec("0"), dec("-1E-30")) > 0);
  CHECK(compare(dec("12345678901234567891"), dec("12345678901234567890")) > 0);
  CHECK(compare(dec("9.99"), dec("10")) < 0);
}

}  // namespace
}  // namespace iotcore::rules::sql
