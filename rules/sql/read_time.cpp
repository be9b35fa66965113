#include "rules/sql/dates.h"
#include "rules/sql/lexer.h"

#include <algorithm>
#include <chrono>
#include <span>
#include <vector>

namespace iotcore::rules::sql {
namespace {

struct Element {
  enum class Kind : std::uint8_t { kLiteral, kField, kOpen, kClose };

  Kind kind;
  char letter = 0;
  std::size_t width = 0;
  std::string literal;
};

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

constexpr std::string_view kLetters = "GuyLMdDEaHkKhmsSnNAVzvXxOZ";

std::string quoted_text(std::string_view pattern, std::size_t& i) {
  std::string text;
  if (i + 1 < pattern.size() && pattern[i + 1] == '\'') {
    i += 2;
    return "'";
  }
  for (++i; i < pattern.size(); ++i) {
    if (pattern[i] == '\'') {
      if (i + 1 >= pattern.size() || pattern[i + 1] != '\'') {
        break;
      }
      ++i;
    }
    text.push_back(pattern[i]);
  }
  ++i;
  return text;
}

std::optional<std::vector<Element>> read_pattern(std::string_view pattern) {
  constexpr int kDepthMax = 16;  // optional parts in one another; the pattern may be a device's
  std::vector<Element> elements;
  int depth = 0;
  for (std::size_t i = 0; i < pattern.size();) {
    const char c = pattern[i];
    if (is_letter(c)) {
      const std::size_t end = std::min(pattern.find_first_not_of(c, i), pattern.size());
      if (kLetters.find(c) == std::string_view::npos || end - i > 19) {
        return std::nullopt;
      }
      elements.push_back({Element::Kind::kField, c, end - i, {}});
      i = end;
    } else if (c == '\'') {
      elements.push_back({Element::Kind::kLiteral, 0, 0, quoted_text(pattern, i)});
    } else if (c == '[' || c == ']') {
      depth += c == '[' ? 1 : -1;
      if (depth < 0 || depth > kDepthMax) {
        return std::nullopt;
      }
      elements.push_back({c == '[' ? Element::Kind::kOpen : Element::Kind::kClose, 0, 0, {}});
      ++i;
    } else {
      elements.push_back({Element::Kind::kLiteral, 0, 0, std::string(1, c)});
      ++i;
    }
  }
  for (; depth > 0; --depth) {
    elements.push_back({Element::Kind::kClose, 0, 0, {}});
  }
  return elements;
}

bool is_text_field(const Element& e) {
  return e.letter == 'G' || e.letter == 'E' || e.letter == 'a' ||
         ((e.letter == 'M' || e.letter == 'L') && e.width >= 3);
}

bool is_zone_field(const Element& e) {
  return std::string_view("VzvXxOZ").find(e.letter) != std::string_view::npos;
}

bool is_number_field(const Element& e) {
  return e.kind == Element::Kind::kField && !is_text_field(e) && !is_zone_field(e);
}

bool is_year(const Element& e) {
  return e.letter == 'y' || e.letter == 'u';
}

// The widths of the fields that take exactly as many digits as they have letters.
bool is_fixed(const Element& e) {
  return is_number_field(e) &&
         (e.letter == 'S' || e.width == 2 || (e.letter == 'D' && e.width == 3));
}

struct Read {
  std::optional<std::int64_t> year, month, day, day_of_year, hour, hour12, minute, second, nano;
  std::optional<std::int64_t> nano_of_day, milli_of_day;
  std::optional<bool> is_afternoon;
  bool is_before_christ = false;
  std::optional<TimeZone> zone;
};

// Matches elements one after the other; what stands in brackets may be absent.
class Reader {
 public:
  Reader(std::string_view text, const std::vector<Element>& elements)
      : text_(text), elements_(elements) {}

  std::optional<Read> read() {
    if (!match(0, elements_.size()) || at_ != text_.size()) {
      return std::nullopt;
    }
    return read_;
  }

 private:
  bool match(std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; ++i) {
      const Element& e = elements_[i];
      switch (e.kind) {
        case Element::Kind::kLiteral:
          if (!text_.substr(at_).starts_with(e.literal)) {
            return false;
          }
          at_ += e.literal.size();
          break;
        case Element::Kind::kField:
          if (!field(i, to)) {
            return false;
          }
          break;
        case Element::Kind::kOpen: {
          const std::size_t close = closing(i);
          const Read before = read_;
          const std::size_t was_at = at_;
          if (!match(i + 1, close)) {
            read_ = before;
            at_ = was_at;
          }
          i = close;
          break;
        }
        case Element::Kind::kClose:
          break;
      }
    }
    return true;
  }

  std::size_t closing(std::size_t open) const {
    int depth = 0;
    std::size_t i = open;
    for (; i < elements_.size(); ++i) {
      depth += elements_[i].kind == Element::Kind::kOpen ? 1 : 0;
      depth -= elements_[i].kind == Element::Kind::kClose ? 1 : 0;
      if (depth == 0) {
        break;
      }
    }
    return i;
  }

  bool field(std::size_t index, std::size_t to) {
    const Element& e = elements_[index];
    if (is_zone_field(e)) {
      return zone(e);
    }
    return is_text_field(e) ? name(e) : number(index, to);
  }

  bool number(std::size_t index, std::size_t to) {
    const Element& e = elements_[index];
    // Fixed fields that follow at once keep their digits.
    std::size_t reserved = 0;
    for (std::size_t i = index + 1; i < to && is_fixed(elements_[i]); ++i) {
      reserved += elements_[i].width;
    }
    bool negative = false;
    if (e.letter != 'S' && at_ < text_.size() && (text_[at_] == '-' || text_[at_] == '+') &&
        is_year(e) && e.width != 2) {
      negative = text_[at_++] == '-';
    }
    std::size_t available = 0;
    while (at_ + available < text_.size() && is_digit(text_[at_ + available]) && available < 18) {
      ++available;
    }
    std::size_t take = is_fixed(e) ? e.width : available - std::min(available, reserved);
    const std::size_t least = e.width == 1 ? 1 : std::min<std::size_t>(e.width, 18);
    if (take > available || take < least) {
      return false;
    }
    if (!is_fixed(e) && !is_year(e) && e.width == 1) {
      take = std::min<std::size_t>(take, 18);
    }
    std::int64_t value = 0;
    for (std::size_t i = 0; i < take; ++i) {
      value = value * 10 + (text_[at_ + i] - '0');
    }
    at_ += take;
    return store(e, negative ? -value : value);
  }

  static bool keep(
      std::optional<std::int64_t>& to, std::int64_t value, std::int64_t low, std::int64_t high
  ) {
    to = value;
    return value >= low && value <= high;
  }

  bool store(const Element& e, std::int64_t value) {
    switch (e.letter) {
      case 'y':
      case 'u':
        return keep(read_.year, e.width == 2 ? 2000 + value : value, -9999, 9999);
      case 'M':
      case 'L':
        return keep(read_.month, value, 1, 12);
      case 'd':
        return keep(read_.day, value, 1, 31);
      case 'D':
        return keep(read_.day_of_year, value, 1, 366);
      case 'H':
        return keep(read_.hour, value, 0, 23);
      case 'k':
        return keep(read_.hour, value % 24, 0, 23) && value >= 1 && value <= 24;
      case 'K':
        return keep(read_.hour12, value, 0, 11);
      case 'h':
        return keep(read_.hour12, value % 12, 0, 11) && value >= 1 && value <= 12;
      case 'm':
        return keep(read_.minute, value, 0, 59);
      case 's':
        return keep(read_.second, value, 0, 59);
      case 'S':
        for (std::size_t i = e.width; i < 9; ++i) {
          value *= 10;
        }
        for (std::size_t i = 9; i < e.width; ++i) {
          value /= 10;
        }
        return keep(read_.nano, value, 0, 999'999'999);
      case 'n':
        return keep(read_.nano, value, 0, 999'999'999);
      case 'N':
        return keep(read_.nano_of_day, value, 0, 86'399'999'999'999);
      case 'A':
        return keep(read_.milli_of_day, value, 0, 86'399'999);
      default:
        return false;
    }
  }

  // One of the names at this place, its first three letters if `is_short`; its position from 1, or
  // 0.
  int one_of(std::span<const std::string_view> names, bool is_short) {
    for (std::size_t i = 0; i < names.size(); ++i) {
      const std::string_view name = is_short ? names[i].substr(0, 3) : names[i];
      if (text_.substr(at_).starts_with(name)) {
        at_ += name.size();
        return static_cast<int>(i) + 1;
      }
    }
    return 0;
  }

  bool name(const Element& e) {
    static constexpr std::string_view kEras[] = {"AD", "BC"};
    static constexpr std::string_view kLongEras[] = {"Anno Domini", "Before Christ"};
    static constexpr std::string_view kHalves[] = {"AM", "PM"};
    switch (e.letter) {
      case 'G': {
        const int era = e.width == 4 ? one_of(kLongEras, false) : one_of(kEras, false);
        read_.is_before_christ = era == 2;
        return era != 0;
      }
      case 'E':
        return one_of(kWeekdays, e.width < 4) != 0;
      case 'a': {
        const int half = one_of(kHalves, false);
        read_.is_afternoon = half == 2;
        return half != 0;
      }
      default: {
        const int month = one_of(kMonths, e.width < 4);
        read_.month = month;
        return month != 0;
      }
    }
  }

  bool zone(const Element& e) {
    const bool is_offset = e.letter == 'X' || e.letter == 'x' || e.letter == 'Z';
    const std::string_view characters =
        is_offset ? "+-:0123456789Z"
                  : "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_/+-:";
    constexpr std::size_t kBytesMax = 64;  // no zone has a longer name
    std::size_t end = std::min(text_.find_first_not_of(characters, at_), text_.size());
    end = std::min(end, at_ + kBytesMax);
    // The longest part that is a zone: a literal may follow at once.
    for (; end > at_; --end) {
      const std::string_view part = text_.substr(at_, end - at_);
      if (is_offset && part == "Z" && e.letter == 'x') {
        continue;
      }
      if (std::optional<TimeZone> found = TimeZone::find(part)) {
        read_.zone = std::move(found);
        at_ = end;
        return true;
      }
    }
    return false;
  }

  std::string_view text_;
  const std::vector<Element>& elements_;
  std::size_t at_ = 0;
  Read read_;
};

std::optional<std::int64_t> day_number(const Read& read) {
  using namespace std::chrono;
  if (!read.year) {
    return std::nullopt;
  }
  const auto y = year{static_cast<int>(read.is_before_christ ? 1 - *read.year : *read.year)};
  if (read.day_of_year) {
    return sys_days{y / January / 1}.time_since_epoch().count() + *read.day_of_year - 1;
  }
  if (!read.month || !read.day) {
    return std::nullopt;
  }
  const auto m = month{static_cast<unsigned>(*read.month)};
  const auto last = static_cast<unsigned>(year_month_day_last{y, month_day_last{m}}.day());
  const unsigned d =
      std::min(static_cast<unsigned>(*read.day), last);  // 30 February is its last day
  return sys_days{y / m / day{d}}.time_since_epoch().count();
}

std::optional<std::int64_t> ms_of_day(const Read& read) {
  if (read.nano_of_day) {
    return *read.nano_of_day / 1'000'000;
  }
  if (read.milli_of_day) {
    return *read.milli_of_day;
  }
  std::int64_t hour = read.hour.value_or(0);
  if (read.hour12) {
    if (!read.is_afternoon) {
      return std::nullopt;  // half of the day unknown
    }
    hour = *read.hour12 + (*read.is_afternoon ? 12 : 0);
  }
  return ((hour * 60 + read.minute.value_or(0)) * 60 + read.second.value_or(0)) * 1000 +
         read.nano.value_or(0) / 1'000'000;
}

}  // namespace

std::optional<std::int64_t> read_time(std::string_view text, std::string_view pattern) {
  const std::optional<std::vector<Element>> elements = read_pattern(pattern);
  if (!elements) {
    return std::nullopt;
  }
  const std::optional<Read> read = Reader(text, *elements).read();
  if (!read) {
    return std::nullopt;
  }
  const std::optional<std::int64_t> day = day_number(*read);
  const std::optional<std::int64_t> ms = ms_of_day(*read);
  if (!day || !ms) {
    return std::nullopt;
  }
  const std::int64_t local = *day * 86'400'000 + *ms;
  const std::int32_t offset_s = read->zone ? read->zone->offset_at_local(local) : 0;
  return local - std::int64_t{1000} * offset_s;
}

}  // namespace iotcore::rules::sql
