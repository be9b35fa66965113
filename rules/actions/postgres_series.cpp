#include "rules/actions/postgres_series.h"

#include "rules/actions/postgres_client.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

namespace iotcore::rules::actions {
namespace {

constexpr std::int64_t kDayMs = 86'400'000;
constexpr std::int64_t kDaysBack = 31;
constexpr std::size_t kNameBytesMax = 63;     // PostgreSQL cuts off what is longer
constexpr std::string_view kOther = "other";  // as long as no day's name is
constexpr std::size_t kSuffixBytes = 9;       // "_20261123"

std::tm date_of_day(std::int64_t day) {
  return fmt::gmtime(static_cast<std::time_t>(day * (kDayMs / 1000)));
}

bool can_have_partitions(std::string_view table) {
  return table.substr(table.find('.') + 1).size() + kSuffixBytes <= kNameBytesMax;
}

}  // namespace

std::string create_series(
    std::string_view table,
    std::string_view create,
    const PostgresSeries& series,
    const PostgresExtensions& extensions
) {
  const std::string quoted = postgres_quoted_table(table);
  std::string sql(create);
  if (!extensions.timescaledb.empty()) {
    sql += fmt::format(
        "; SELECT {}.create_hypertable({}, {}, chunk_time_interval => INTERVAL '1 day', "
        "if_not_exists => TRUE)",
        postgres_quoted(extensions.timescaledb),
        postgres_literal(quoted),
        postgres_literal(series.time_column)
    );
  } else if (can_have_partitions(table)) {
    sql += fmt::format(
        " PARTITION BY RANGE ({}); COMMENT ON TABLE {} IS {}; "
        "CREATE TABLE IF NOT EXISTS {} PARTITION OF {} DEFAULT",
        postgres_quoted(series.time_column),
        quoted,
        postgres_literal(kPostgresByDay),
        postgres_quoted_table(fmt::format("{}_{}", table, kOther)),
        quoted
    );
  }
  if (!series.position.empty() && !extensions.postgis.empty()) {
    sql += fmt::format(
        "; ALTER TABLE {} ADD COLUMN IF NOT EXISTS {} {}.geography(Point, 4326)",
        quoted,
        postgres_quoted(kPostgresPosition),
        postgres_quoted(extensions.postgis)
    );
  }
  return sql;
}

std::vector<std::int64_t> days_for(std::int64_t time_ms, std::int64_t now_ms) {
  const std::int64_t day = time_ms / kDayMs;
  const std::int64_t today = now_ms / kDayMs;
  if (time_ms < 0 || day < today - kDaysBack || day > today + 1) {
    return {};
  }
  return {day, day + 1};
}

std::string partition_name(std::string_view table, std::int64_t day) {
  return fmt::format("{}_{:%Y%m%d}", table, date_of_day(day));
}

std::string add_partition(std::string_view table, std::int64_t day) {
  const std::string parent = postgres_quoted_table(table);
  const std::string partition = postgres_quoted_table(partition_name(table, day));
  return fmt::format(
      "SET LOCAL lock_timeout = '2s'; CREATE TABLE {} (LIKE {} INCLUDING DEFAULTS INCLUDING "
      "CONSTRAINTS); ALTER TABLE {} ATTACH "
      "PARTITION {} FOR VALUES FROM ('{:%Y-%m-%d} 00:00:00+00') TO ('{:%Y-%m-%d} 00:00:00+00')",
      partition,
      parent,
      parent,
      partition,
      date_of_day(day),
      date_of_day(day + 1)
  );
}

}  // namespace iotcore::rules::actions
