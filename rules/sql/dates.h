#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace iotcore::rules::sql {

// parse_time: an instant as text by Joda-Time's pattern letters, English names. Nothing: a letter
// or a zone that does not exist.
std::optional<std::string> format_time(
    std::string_view pattern, std::int64_t epoch_ms, std::string_view zone
);

// time_to_epoch: a text as an instant by java.time's pattern letters, English names. Without a zone
// UTC, without a time midnight. Nothing: the text is not of that pattern, or names no day.
std::optional<std::int64_t> read_time(std::string_view text, std::string_view pattern);

// A zone of the tz database ("Europe/Paris"), an abbreviation ("PST"), UTC, GMT, Z or an offset
// ("+02:00", "UTC-3", "GMT+01:00").
class TimeZone {
 public:
  static std::optional<TimeZone> find(std::string_view name);
  static TimeZone fixed(std::int32_t offset_s);

  std::int32_t offset_at(std::int64_t epoch_ms) const;        // seconds east
  std::int32_t offset_at_local(std::int64_t local_ms) const;  // of a clock's reading there
  std::string short_name(std::int64_t epoch_ms) const;        // "CST"
  std::string long_name(std::int64_t epoch_ms) const;         // "Central Standard Time"

  const std::string& id() const { return id_; }

 private:
  struct Zone;

  std::string id_;
  std::int32_t offset_s_ = 0;
  std::shared_ptr<const Zone> zone_;  // with the other copies of this value; none: the fixed offset
};

inline constexpr std::string_view kMonths[] = {
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December"};
inline constexpr std::string_view kWeekdays[] = {
    "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"};

}  // namespace iotcore::rules::sql
