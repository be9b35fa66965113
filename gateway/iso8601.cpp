#include "gateway/iso8601.h"

#include <chrono>

namespace iotcore::gateway {
namespace {

constexpr std::size_t kWholeSeconds = 19;  // 2023-11-14T22:13:21

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Digits only; the caller has checked that they are digits.
int number(std::string_view digits) {
  int out = 0;
  for (const char c : digits) {
    out = out * 10 + (c - '0');
  }
  return out;
}

bool has_form(std::string_view text) {
  static constexpr std::string_view kForm = "dddd-dd-ddTdd:dd:dd";
  if (text.size() < kForm.size() + 1 || text.back() != 'Z') {
    return false;
  }
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    if (kForm[i] == 'd' ? !is_digit(text[i]) : text[i] != kForm[i]) {
      return false;
    }
  }
  return true;
}

}  // namespace

std::optional<std::int64_t> parse_iso8601_ms(std::string_view text) {
  if (!has_form(text)) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date(
      std::chrono::year(number(text.substr(0, 4))),
      std::chrono::month(static_cast<unsigned>(number(text.substr(5, 2)))),
      std::chrono::day(static_cast<unsigned>(number(text.substr(8, 2))))
  );
  const int hour = number(text.substr(11, 2));
  const int minute = number(text.substr(14, 2));
  const int second = number(text.substr(17, 2));
  if (!date.ok() || hour > 23 || minute > 59 || second > 60) {
    return std::nullopt;
  }
  const std::string_view fraction = text.substr(kWholeSeconds, text.size() - kWholeSeconds - 1);
  int ms = 0;
  if (!fraction.empty()) {
    if (fraction.size() < 2 || fraction.front() != '.') {
      return std::nullopt;
    }
    int scale = 100;
    for (const char c : fraction.substr(1)) {
      if (!is_digit(c)) {
        return std::nullopt;
      }
      ms += (c - '0') * scale;
      scale /= 10;
    }
  }
  const auto days = std::chrono::sys_days(date).time_since_epoch();
  return std::chrono::milliseconds(days).count() +
         ((static_cast<std::int64_t>(hour) * 60 + minute) * 60 + second) * 1000 + ms;
}

}  // namespace iotcore::gateway
