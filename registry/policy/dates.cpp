#include "registry/policy/dates.h"

#include <charconv>
#include <chrono>
#include <limits>

namespace iotcore::registry::policy {
namespace {

class DateReader {
 public:
  explicit DateReader(std::string_view text) : rest_(text) {}

  bool done() const { return rest_.empty(); }

  bool take(char c) {
    if (rest_.empty() || rest_.front() != c) {
      return false;
    }
    rest_.remove_prefix(1);
    return true;
  }

  // Exactly `digits` digits.
  std::optional<int> number(std::size_t digits) {
    if (rest_.size() < digits) {
      return std::nullopt;
    }
    int value = 0;
    for (const char c : rest_.substr(0, digits)) {
      if (c < '0' || c > '9') {
        return std::nullopt;
      }
      value = value * 10 + (c - '0');
    }
    rest_.remove_prefix(digits);
    return value;
  }

  // The digits of a fraction of a second, at least one; further ones than three do not count.
  std::optional<int> milliseconds() {
    int value = 0;
    std::size_t digits = 0;
    while (!rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9') {
      if (digits < 3) {
        value = value * 10 + (rest_.front() - '0');
      }
      ++digits;
      rest_.remove_prefix(1);
    }
    if (digits == 0) {
      return std::nullopt;
    }
    for (; digits < 3; ++digits) {
      value *= 10;
    }
    return value;
  }

 private:
  std::string_view rest_;
};

constexpr std::int64_t kDayMs = 86'400'000;
constexpr std::int64_t kMinuteMs = 60'000;

std::optional<std::int64_t> read_clock(DateReader& in) {
  const auto hour = in.number(2);
  if (!hour || *hour > 23 || !in.take(':')) {
    return std::nullopt;
  }
  const auto minute = in.number(2);
  if (!minute || *minute > 59) {
    return std::nullopt;
  }
  std::int64_t ms = (*hour * 60 + *minute) * kMinuteMs;
  if (in.take(':')) {
    const auto second = in.number(2);
    if (!second || *second > 60) {
      return std::nullopt;
    }
    ms += *second * 1000;
    if (in.take('.')) {
      const auto fraction = in.milliseconds();
      if (!fraction) {
        return std::nullopt;
      }
      ms += *fraction;
    }
  }
  return ms;
}

std::optional<std::int64_t> read_zone(DateReader& in) {
  if (in.done() || in.take('Z')) {
    return 0;
  }
  const bool east = in.take('+');
  if (!east && !in.take('-')) {
    return std::nullopt;
  }
  const auto hours = in.number(2);
  in.take(':');
  const auto minutes = in.number(2);
  if (!hours || !minutes || *hours > 23 || *minutes > 59) {
    return std::nullopt;
  }
  const std::int64_t offset = (*hours * 60 + *minutes) * kMinuteMs;
  return east ? offset : -offset;
}

std::optional<std::int64_t> parse_epoch_ms(std::string_view text) {
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max() / 1000;
  if (error != std::errc() || end != text.data() + text.size() || seconds > kMax ||
      seconds < -kMax) {
    return std::nullopt;
  }
  return seconds * 1000;
}

}  // namespace

std::optional<std::int64_t> parse_date_ms(std::string_view text) {
  if (text.size() != 4) {
    if (const auto epoch = parse_epoch_ms(text)) {
      return epoch;
    }
  }
  DateReader in(text);
  int month = 1;
  int day = 1;
  const auto year = in.number(4);
  if (!year) {
    return std::nullopt;
  }
  if (in.take('-')) {
    const auto given_month = in.number(2);
    if (!given_month) {
      return std::nullopt;
    }
    month = *given_month;
    if (in.take('-')) {
      const auto given_day = in.number(2);
      if (!given_day) {
        return std::nullopt;
      }
      day = *given_day;
    }
  }
  const std::chrono::year_month_day date{
      std::chrono::year(*year),
      std::chrono::month(static_cast<unsigned>(month)),
      std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) {
    return std::nullopt;
  }
  std::int64_t ms = std::chrono::sys_days(date).time_since_epoch().count() * kDayMs;
  if (in.take('T')) {
    const auto clock = read_clock(in);
    const auto zone = clock ? read_zone(in) : std::nullopt;
    if (!zone) {
      return std::nullopt;
    }
    ms += *clock - *zone;
  }
  return in.done() ? std::optional(ms) : std::nullopt;
}

}  // namespace iotcore::registry::policy
