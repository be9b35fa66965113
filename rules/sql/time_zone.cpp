#include "rules/sql/dates.h"

#include <unicode/locid.h>
#include <unicode/timezone.h>

#include <cmath>
#include <cstdlib>

namespace iotcore::rules::sql {
namespace {

icu::UnicodeString to_icu(std::string_view text) {
  return icu::UnicodeString::fromUTF8({text.data(), static_cast<std::int32_t>(text.size())});
}

std::optional<int> two_digits(std::string_view text, std::size_t at) {
  if (at + 2 > text.size() || text[at] < '0' || text[at] > '9' || text[at + 1] < '0' ||
      text[at + 1] > '9') {
    return std::nullopt;
  }
  return (text[at] - '0') * 10 + (text[at + 1] - '0');
}

// +h, +hh, +hhmm, +hh:mm, +hhmmss, +hh:mm:ss; whole.
std::optional<std::int32_t> parse_offset(std::string_view text) {
  if (text.size() < 2 || (text[0] != '+' && text[0] != '-')) {
    return std::nullopt;
  }
  const int sign = text[0] == '-' ? -1 : 1;
  if (text.size() == 2 && text[1] >= '0' && text[1] <= '9') {
    return sign * (text[1] - '0') * 3600;
  }
  std::int32_t parts[3] = {0, 0, 0};
  std::size_t at = 1;
  for (std::size_t i = 0; i < 3 && at < text.size(); ++i) {
    at += i > 0 && text[at] == ':' ? 1U : 0U;
    const std::optional<int> part = two_digits(text, at);
    if (!part) {
      return std::nullopt;
    }
    parts[i] = *part;
    at += 2;
  }
  if (at != text.size() || parts[0] > 18 || parts[1] > 59 || parts[2] > 59) {
    return std::nullopt;
  }
  return sign * (parts[0] * 3600 + parts[1] * 60 + parts[2]);
}

// ICU gives many zones a name such as "GMT+9" in American English; another English or the zone's
// own language has the letters.
constexpr const char* kNamingLocales[] = {
    "en_US", "en_GB", "en_AU", "en_IN", "en_ZA", "en_CA", "ja", "ko"};

bool is_abbreviation(const std::string& name) {
  return name.find_first_of("0123456789") == std::string::npos;
}

}  // namespace

struct TimeZone::Zone {
  std::unique_ptr<icu::TimeZone> icu;
};

TimeZone TimeZone::fixed(std::int32_t offset_s) {
  TimeZone zone;
  zone.offset_s_ = offset_s;
  zone.id_ = "UTC";
  if (offset_s != 0) {
    const int magnitude = std::abs(offset_s) / 60;
    char text[16];
    std::snprintf(
        text,
        sizeof text,
        "%c%02d:%02d",
        offset_s < 0 ? '-' : '+',
        magnitude / 60 % 100,
        magnitude % 60
    );
    zone.id_ = text;
  }
  return zone;
}

std::optional<TimeZone> TimeZone::find(std::string_view name) {
  if (name == "UTC" || name == "GMT" || name == "UT" || name == "Z") {
    return fixed(0);
  }
  std::string_view offset = name;
  for (const std::string_view prefix : {"UTC", "GMT", "UT"}) {
    if (name.starts_with(prefix)) {
      offset = name.substr(prefix.size());
      break;
    }
  }
  if (const std::optional<std::int32_t> seconds = parse_offset(offset)) {
    return fixed(*seconds);
  }
  auto zone = std::make_shared<Zone>();
  zone->icu.reset(icu::TimeZone::createTimeZone(to_icu(name)));
  if (!zone->icu || *zone->icu == icu::TimeZone::getUnknown()) {
    return std::nullopt;
  }
  TimeZone found;
  found.id_ = name;
  found.zone_ = std::move(zone);
  return found;
}

namespace {

std::int32_t icu_offset(const icu::TimeZone& zone, std::int64_t ms, bool is_local) {
  std::int32_t raw = 0;
  std::int32_t daylight = 0;
  UErrorCode status = U_ZERO_ERROR;
  zone.getOffset(static_cast<double>(ms), static_cast<UBool>(is_local), raw, daylight, status);
  return (raw + daylight) / 1000;
}

bool is_daylight(const icu::TimeZone& zone, std::int64_t ms) {
  std::int32_t raw = 0;
  std::int32_t daylight = 0;
  UErrorCode status = U_ZERO_ERROR;
  zone.getOffset(static_cast<double>(ms), 0, raw, daylight, status);
  return daylight != 0;
}

}  // namespace

std::int32_t TimeZone::offset_at(std::int64_t epoch_ms) const {
  return zone_ ? icu_offset(*zone_->icu, epoch_ms, false) : offset_s_;
}

std::int32_t TimeZone::offset_at_local(std::int64_t local_ms) const {
  return zone_ ? icu_offset(*zone_->icu, local_ms, true) : offset_s_;
}

std::string TimeZone::short_name(std::int64_t epoch_ms) const {
  if (!zone_) {
    return id_;
  }
  const auto daylight = static_cast<UBool>(is_daylight(*zone_->icu, epoch_ms));
  std::string first;
  for (const char* locale : kNamingLocales) {
    icu::UnicodeString name;
    std::string text;
    zone_->icu->getDisplayName(daylight, icu::TimeZone::SHORT, icu::Locale(locale), name)
        .toUTF8String(text);
    if (is_abbreviation(text)) {
      return text;
    }
    if (first.empty()) {
      first = text;
    }
  }
  return first;
}

std::string TimeZone::long_name(std::int64_t epoch_ms) const {
  if (!zone_) {
    return id_ == "UTC" ? "Coordinated Universal Time" : id_;
  }
  icu::UnicodeString name;
  std::string text;
  const auto daylight = static_cast<UBool>(is_daylight(*zone_->icu, epoch_ms));
  return zone_->icu->getDisplayName(daylight, icu::TimeZone::LONG, icu::Locale::getUS(), name)
      .toUTF8String(text);
}

}  // namespace iotcore::rules::sql
