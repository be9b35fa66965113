#include "rules/sql/dates.h"

#include <chrono>
#include <cstdlib>

namespace iotcore::rules::sql {
namespace {

constexpr std::int64_t kDayMs = 86'400'000;

std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
  return a / b - (a % b < 0 ? 1 : 0);
}

// An instant taken apart on the clock and calendar of its zone.
struct Fields {
  std::int64_t epoch_ms;
  const TimeZone& zone;
  std::int32_t offset_s;
  int year;
  int month;
  int day;
  int day_of_year;
  int weekday;  // 1: Monday
  int week;     // ISO 8601
  int week_year;
  int ms_of_day;

  Fields(std::int64_t instant, const TimeZone& where)
      : epoch_ms(instant), zone(where), offset_s(where.offset_at(instant)) {
    using namespace std::chrono;
    const std::int64_t local = instant + std::int64_t{1000} * offset_s;
    const std::int64_t days_since_1970 = floor_divide(local, kDayMs);
    ms_of_day = static_cast<int>(local - days_since_1970 * kDayMs);
    const sys_days date{days{days_since_1970}};
    const year_month_day ymd{date};
    year = static_cast<int>(ymd.year());
    month = static_cast<int>(static_cast<unsigned>(ymd.month()));
    day = static_cast<int>(static_cast<unsigned>(ymd.day()));
    weekday = static_cast<int>(std::chrono::weekday{date}.iso_encoding());
    day_of_year = static_cast<int>((date - sys_days{ymd.year() / January / 1}).count()) + 1;
    // The week belongs to the year of its Thursday.
    const sys_days thursday = date + days{4 - weekday};
    const year_month_day thursday_ymd{thursday};
    week_year = static_cast<int>(thursday_ymd.year());
    week =
        static_cast<int>((thursday - sys_days{thursday_ymd.year() / January / 1}).count()) / 7 + 1;
  }

  int hour() const { return ms_of_day / 3'600'000; }

  int minute() const { return ms_of_day / 60'000 % 60; }

  int second() const { return ms_of_day / 1000 % 60; }

  int year_of_era() const { return year > 0 ? year : 1 - year; }
};

void append_padded(std::string& out, std::int64_t value, std::size_t width) {
  const std::string digits = std::to_string(std::llabs(value));
  if (value < 0) {
    out.push_back('-');
  }
  if (digits.size() < width) {
    out.append(width - digits.size(), '0');
  }
  out.append(digits);
}

void append_year(std::string& out, int year, std::size_t width) {
  append_padded(out, width == 2 ? std::abs(year) % 100 : year, width);
}

void append_name(std::string& out, std::string_view name, bool is_full) {
  out.append(is_full ? name : name.substr(0, 3));
}

void append_offset(std::string& out, const Fields& f, std::size_t width) {
  if (width >= 3) {
    out.append(f.zone.id());
    return;
  }
  const int minutes = std::abs(f.offset_s) / 60;
  out.push_back(f.offset_s < 0 ? '-' : '+');
  append_padded(out, minutes / 60, 2);
  if (width == 2) {
    out.push_back(':');
  }
  append_padded(out, minutes % 60, 2);
}

void append_fraction(std::string& out, const Fields& f, std::size_t width) {
  std::string digits;
  append_padded(digits, f.ms_of_day % 1000, 3);
  digits.resize(width, '0');
  out.append(digits);
}

// False for a letter that Joda-Time does not have.
bool append_clock_field(std::string& out, const Fields& f, char letter, std::size_t width) {
  switch (letter) {
    case 'a':
      out.append(f.hour() < 12 ? "AM" : "PM");
      return true;
    case 'K':
      append_padded(out, f.hour() % 12, width);
      return true;
    case 'h':
      append_padded(out, (f.hour() + 11) % 12 + 1, width);
      return true;
    case 'H':
      append_padded(out, f.hour(), width);
      return true;
    case 'k':
      append_padded(out, (f.hour() + 23) % 24 + 1, width);
      return true;
    case 'm':
      append_padded(out, f.minute(), width);
      return true;
    case 's':
      append_padded(out, f.second(), width);
      return true;
    case 'S':
      append_fraction(out, f, width);
      return true;
    case 'z':
      out.append(width >= 4 ? f.zone.long_name(f.epoch_ms) : f.zone.short_name(f.epoch_ms));
      return true;
    case 'Z':
      append_offset(out, f, width);
      return true;
    default:
      return false;
  }
}

bool append_field(std::string& out, const Fields& f, char letter, std::size_t width) {
  switch (letter) {
    case 'G':
      out.append(f.year > 0 ? "AD" : "BC");
      return true;
    case 'C':
      append_padded(out, f.year_of_era() / 100, width);
      return true;
    case 'Y':
      append_year(out, f.year_of_era(), width);
      return true;
    case 'y':
      append_year(out, f.year, width);
      return true;
    case 'x':
      append_year(out, f.week_year, width);
      return true;
    case 'w':
      append_padded(out, f.week, width);
      return true;
    case 'e':
      append_padded(out, f.weekday, width);
      return true;
    case 'E':
      append_name(out, kWeekdays[f.weekday - 1], width >= 4);
      return true;
    case 'D':
      append_padded(out, f.day_of_year, width);
      return true;
    case 'M':
      if (width >= 3) {
        append_name(out, kMonths[f.month - 1], width >= 4);
      } else {
        append_padded(out, f.month, width);
      }
      return true;
    case 'd':
      append_padded(out, f.day, width);
      return true;
    default:
      return append_clock_field(out, f, letter, width);
  }
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

constexpr std::size_t kWidthMax = 64;
constexpr std::int64_t kInstantMax = 253'402'300'800'000;  // the year 10000

}  // namespace

std::optional<std::string> format_time(
    std::string_view pattern, std::int64_t epoch_ms, std::string_view zone_name
) {
  const std::optional<TimeZone> zone = TimeZone::find(zone_name);
  if (!zone || std::llabs(epoch_ms) > kInstantMax) {
    return std::nullopt;
  }
  const Fields fields(epoch_ms, *zone);
  std::string out;
  for (std::size_t i = 0; i < pattern.size();) {
    const char c = pattern[i];
    if (is_letter(c)) {
      std::size_t end = i;
      while (end < pattern.size() && pattern[end] == c) {
        ++end;
      }
      if (end - i > kWidthMax || !append_field(out, fields, c, end - i)) {
        return std::nullopt;
      }
      i = end;
    } else if (c == '\'') {
      const bool is_quote = i + 1 < pattern.size() && pattern[i + 1] == '\'';
      if (is_quote) {
        out.push_back('\'');
        i += 2;
        continue;
      }
      for (++i; i < pattern.size(); ++i) {
        if (pattern[i] == '\'') {
          if (i + 1 >= pattern.size() || pattern[i + 1] != '\'') {
            break;
          }
          ++i;  // doubled: the quote itself
        }
        out.push_back(pattern[i]);
      }
      ++i;
    } else {
      out.push_back(c);
      ++i;
    }
  }
  return out;
}

}  // namespace iotcore::rules::sql
