#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// Tables of rows with a time, as we make them: a hypertable where TimescaleDB is installed in the database, else a partition for each day.
namespace iotcore::rules::actions {

struct PostgresSeries {
  std::string time_column;
  std::vector<std::int64_t> times_ms;  // of a record's rows
  std::string position;  // of the row, "SRID=4326;POINT(11.5 48.5)"; empty: it has none
};

// The schemas of extensions that are installed in the database; empty: it is not.
struct PostgresExtensions {
  std::string timescaledb;
  std::string postgis;
};

// Tells the tables that are partitioned by us: their comment.
inline constexpr std::string_view kPostgresByDay = "iotcore: a partition for each day";
inline constexpr std::string_view kPostgresPosition = "position";  // the column of PostGIS

// What makes the table, which `create` makes without all this.
std::string create_series(
    std::string_view table,
    std::string_view create,
    const PostgresSeries& series,
    const PostgresExtensions& extensions
);

// Days since 1970 that get a partition when a row of that time comes: its own and the next. None for times that are far from now, whose rows go where
// those without a partition go: devices say what they want, and a table with thousands of partitions is of no use.
std::vector<std::int64_t> days_for(std::int64_t time_ms, std::int64_t now_ms);
std::string partition_name(std::string_view table, std::int64_t day);
// The partition is made beside the table and attached, so that those who read the table's days are held up for a moment only; it gives up (55P03) where
// somebody reads for longer.
std::string add_partition(std::string_view table, std::int64_t day);

}  // namespace iotcore::rules::actions
