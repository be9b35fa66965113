#include "rules/actions/postgres_row.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <chrono>
#include <cmath>
#include <limits>

namespace iotcore::rules::actions {
namespace {

constexpr double kMsMax = 2.5e14;  // the year 9892

bool is_timestamp(const PostgresColumn& column) {
  return column.type == "timestamptz" || column.type == "timestamp";
}

bool is_integer(const PostgresColumn& column) {
  return column.type == "int2" || column.type == "int4" || column.type == "int8";
}

// "{1,"a",NULL}"
std::string array_literal(const json::array& values) {
  std::string out = "{";
  for (const json::value& value : values) {
    out += out.size() == 1 ? "" : ",";
    if (value.is_null()) {
      out += "NULL";
    } else if (value.is_array()) {
      out += array_literal(value.get_array());
    } else if (value.is_number() || value.is_bool()) {
      out += to_json(value);
    } else {
      out += '"';
      for (const char c : value.is_string() ? std::string(value.get_string()) : to_json(value)) {
        out += c == '"' || c == '\\' ? "\\" : "";
        out += c;
      }
      out += '"';
    }
  }
  return out + "}";
}

PostgresValue number_text(const json::value& value, const PostgresColumn& column) {
  const double number = value.to_number<double>();
  if (is_timestamp(column) && std::abs(number) < kMsMax) {
    return postgres_time(static_cast<std::int64_t>(number));
  }
  // 21.0 is a whole number, though it is not written like one.
  constexpr double kExact = 9007199254740992.0;
  if (value.is_double() && is_integer(column) && std::abs(number) <= kExact &&
      std::trunc(number) == number) {
    return fmt::to_string(static_cast<std::int64_t>(number));
  }
  if (column.type == "bool" && (number == 0 || number == 1)) {
    return number == 0 ? "f" : "t";
  }
  return to_json(value);
}

}  // namespace

const std::pair<const std::string, PostgresColumn>* find_column(
    const PostgresTable& table, std::string_view name
) {
  auto found = table.columns.find(name);
  if (found == table.columns.end()) {
    std::string lower(name);
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) {
      return static_cast<char>(std::tolower(c));
    });
    found = table.columns.find(lower);
  }
  return found == table.columns.end() ? nullptr : &*found;
}

bool is_json_column(const PostgresColumn& column) {
  return column.type == "jsonb" || column.type == "json";
}

std::string postgres_time(std::int64_t epoch_ms) {
  using std::chrono::floor;
  const std::chrono::sys_time<std::chrono::milliseconds> time{std::chrono::milliseconds(epoch_ms)};
  const auto day = floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  return fmt::format(
      "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:03}+00",
      static_cast<int>(date.year()),
      static_cast<unsigned>(date.month()),
      static_cast<unsigned>(date.day()),
      clock.hours().count(),
      clock.minutes().count(),
      clock.seconds().count(),
      clock.subseconds().count()
  );
}

PostgresValue to_postgres(const json::value& value, const PostgresColumn& column) {
  if (value.is_null()) {
    return std::nullopt;
  }
  if (is_json_column(column)) {
    return to_json(value);
  }
  switch (value.kind()) {
    case json::kind::bool_:
      return column.category == 'N' ? (value.get_bool() ? "1" : "0")
                                    : (value.get_bool() ? "true" : "false");
    case json::kind::int64:
    case json::kind::uint64:
    case json::kind::double_:
      return number_text(value, column);
    case json::kind::string:
      return std::string(value.get_string());
    case json::kind::array:
      return column.category == 'A' ? array_literal(value.get_array()) : to_json(value);
    default:
      return to_json(value);
  }
}

PostgresValue to_postgres(std::string_view text, const PostgresColumn& column) {
  if (text.empty()) {
    return std::nullopt;
  }
  if (is_json_column(column)) {
    return parse_json(text) ? std::string(text) : to_json(json::value(json::string(text)));
  }
  std::int64_t number = 0;
  const char* end = text.data() + text.size();
  if (const auto [at, error] = std::from_chars(text.data(), end, number);
      is_timestamp(column) && error == std::errc() && at == end &&
      std::abs(static_cast<double>(number)) < kMsMax) {
    return postgres_time(number);
  }
  return std::string(text);
}

}  // namespace iotcore::rules::actions
