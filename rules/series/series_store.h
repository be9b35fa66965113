#pragma once

#include "base/result.h"
#include "rules/actions/sqlite_database.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

// The built-in target of actions that write measurements: one SQLite file in the sinks' folder. What is written again, as after a crash, takes its own place.
namespace iotcore::rules::series {

using actions::SqliteDatabase;
using actions::SqliteResult;

inline constexpr std::string_view kFileName = "series.db";

inline constexpr const char* kSchema =
    "CREATE TABLE IF NOT EXISTS points(db TEXT NOT NULL, tbl TEXT NOT NULL, time_ns INTEGER NOT "
    "NULL, name TEXT NOT NULL, "
    "dims_hash INTEGER NOT NULL, d REAL, i INTEGER, s TEXT, b INTEGER, dims TEXT NOT NULL, "
    "PRIMARY KEY(db, tbl, time_ns, name, dims_hash)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS positions(tracker TEXT NOT NULL, device TEXT NOT NULL, time_ns "
    "INTEGER NOT NULL, "
    "latitude REAL NOT NULL, longitude REAL NOT NULL, PRIMARY KEY(tracker, device, time_ns)) "
    "WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS latest_positions(tracker TEXT NOT NULL, device TEXT NOT NULL, "
    "time_ns INTEGER NOT NULL, "
    "latitude REAL NOT NULL, longitude REAL NOT NULL, PRIMARY KEY(tracker, device)) WITHOUT ROWID";

struct PointView {
  std::string_view database;
  std::string_view table;
  std::string_view name;
  std::int64_t time_ns = 0;
  std::string_view
      dimensions;  // a JSON object; together with the others it says whose value this is
  std::variant<double, std::int64_t, std::string_view, bool> value;
};

SqliteResult<void> write_point(SqliteDatabase& database, const PointView& point);

struct PositionView {
  std::string_view tracker;
  std::string_view device;
  std::int64_t time_ns = 0;
  double latitude = 0;
  double longitude = 0;
};

// An older one than the latest goes to the history only.
SqliteResult<void> write_position(SqliteDatabase& database, const PositionView& position);

// SECONDS, MILLISECONDS, MICROSECONDS or NANOSECONDS since 1970, and InfluxDB's s, ms, us and ns. An error if it is no such number or out of range.
Result<std::int64_t> to_nanoseconds(std::string_view value, std::string_view unit);
Result<std::int64_t> to_nanoseconds(std::int64_t value, std::string_view unit);

}  // namespace iotcore::rules::series
