#include "rules/sql/dates.h"

#include <catch2/catch.hpp>

#include <chrono>
#include <string>

namespace iotcore::rules::sql {
namespace {

constexpr std::int64_t kInstant = 1'700'000'000'123;  // 2023-11-14T22:13:20.123Z, a Tuesday

std::string shown(
    std::string_view pattern, std::string_view zone = "UTC", std::int64_t ms = kInstant
) {
  return format_time(pattern, ms, zone).value_or("(undefined)");
}

TEST_CASE("Every letter of Joda-Time's patterns") {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"G C Y y yy yyyyy", "AD 20 2023 2023 23 02023"},
      {"x w ww e", "2023 46 46 2"},
      {"D DDD d dd M MM MMM MMMM", "318 318 14 14 11 11 Nov November"},
      {"E EEE EEEE", "Tue Tue Tuesday"},
      {"a h hh H k K m s", "PM 10 10 22 22 10 13 20"},
      {"S SS SSS SSSSSS", "1 12 123 123000"},
      {"z Z ZZ ZZZ", "UTC +0000 +00:00 UTC"},
      {"'o''clock' '' yyyy", "o'clock ' 2023"},
      {"yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", "2023-11-14T22:13:20.123Z"},
      {"yyyy b", "(undefined)"},
  };
  for (const auto& [pattern, expected] : cases) {
    CAPTURE(pattern);
    CHECK(shown(pattern) == expected);
  }
}

TEST_CASE("A device's text or pattern takes neither long nor much of the stack to read") {
  const auto began = std::chrono::steady_clock::now();
  CHECK_FALSE(read_time("2020 " + std::string(100'000, 'a'), "yyyy z"));
  CHECK_FALSE(read_time("2020", std::string(200'000, '[') + "yyyy"));
  CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(1));
  CHECK(read_time("2020-01-01 Europe/Paris", "yyyy-MM-dd[ [VV]]"));
}

TEST_CASE("Zones are names, abbreviations or offsets") {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"Asia/Tokyo", "2023-11-15 07:13 +09:00 JST Asia/Tokyo"},
      {"America/New_York", "2023-11-14 17:13 -05:00 EST America/New_York"},
      {"Europe/Paris", "2023-11-14 23:13 +01:00 CET Europe/Paris"},
      {"Asia/Kolkata", "2023-11-15 03:43 +05:30 IST Asia/Kolkata"},
      {"+05:30", "2023-11-15 03:43 +05:30 +05:30 +05:30"},
      {"UTC-3", "2023-11-14 19:13 -03:00 -03:00 -03:00"},
      {"Nope/Zone", "(undefined)"},
      {"", "(undefined)"},
      {"+25:00", "(undefined)"},
  };
  for (const auto& [zone, expected] : cases) {
    CAPTURE(zone);
    CHECK(shown("yyyy-MM-dd HH:mm ZZ z ZZZ", zone) == expected);
  }
  CHECK(shown("HH z", "Europe/Paris", 1'690'000'000'000) == "06 CEST");
}

TEST_CASE("Before 1970, leap days and weeks across years") {
  CHECK(shown("yyyy-MM-dd HH:mm:ss.SSS", "UTC", -1) == "1969-12-31 23:59:59.999");
  CHECK(shown("yyyy-MM-dd x-'W'ww-e", "UTC", 1'609'459'200'000) == "2021-01-01 2020-W53-5");
  CHECK(shown("yyyy-MM-dd D", "UTC", 1'709'164'800'000) == "2024-02-29 60");
}

TEST_CASE("Texts are read by java.time's letters") {
  struct Case {
    std::string_view text;
    std::string_view pattern;
    std::optional<std::int64_t> ms;
  };

  const Case cases[] = {
      {"2023-11-14T22:13:20.123Z", "yyyy-MM-dd'T'HH:mm:ss.SSSX", kInstant},
      {"2023-11-14 22:13:20.123", "uuuu-MM-dd HH:mm:ss.SSS", kInstant},
      {"20231114221320123", "yyyyMMddHHmmssSSS", kInstant},
      {"14 Nov 23 10:13:20 PM", "dd MMM yy hh:mm:ss a", kInstant - 123},
      {"Tuesday, 14 November 2023", "EEEE, d MMMM y", 1'699'920'000'000},
      {"2023-318", "yyyy-DDD", 1'699'920'000'000},
      {"2023-11-14", "yyyy-MM-dd[ HH:mm]", 1'699'920'000'000},
      {"2023-11-14 01:00", "yyyy-MM-dd[ HH:mm]", 1'699'923'600'000},
      {"2023-11-14 01:00 +0100", "yyyy-MM-dd HH:mm xx", 1'699'920'000'000},
      {"2023-11-14 00:00 Europe/Paris", "yyyy-MM-dd HH:mm VV", 1'699'916'400'000},
      {"2023-07-01 00:00 Europe/Paris", "yyyy-MM-dd HH:mm VV", 1'688'162'400'000},
      {"2023-02-30", "yyyy-MM-dd", 1'677'542'400'000},
      {"2023-13-01", "yyyy-MM-dd", std::nullopt},
      {"2023-11-14 ", "yyyy-MM-dd", std::nullopt},
      {"2023-11-14", "yyyy-MM-dd b", std::nullopt},
      {"2023-1-14", "yyyy-MM-dd", std::nullopt},
      {"10:13", "HH:mm", std::nullopt},
      {"2023-11-14 10:13", "yyyy-MM-dd hh:mm", std::nullopt},
      {"2023-11-14", "yyyy-MM-dd]", std::nullopt},
      {"", "yyyy", std::nullopt},
      {"2023-11-14 Nowhere/Town", "yyyy-MM-dd VV", std::nullopt},
  };
  for (const Case& c : cases) {
    CAPTURE(c.text, c.pattern);
    CHECK(read_time(c.text, c.pattern) == c.ms);
  }
}

}  // namespace
}  // namespace iotcore::rules::sql
