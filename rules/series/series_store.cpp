#include "rules/series/series_store.h"

#include "base/ids.h"
#include "rules/actions/transaction_sink.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>

namespace iotcore::rules::series {
namespace {

using actions::run_once;
using actions::SqliteStatement;

constexpr int kFirstValue = 6;  // of ?6 d, ?7 i, ?8 s, ?9 b

void bind_value(SqliteStatement& statement, const PointView& point) {
  const int at = kFirstValue + static_cast<int>(point.value.index());
  if (const double* real = std::get_if<double>(&point.value)) {
    statement.bind(at, *real);
  } else if (const std::int64_t* whole = std::get_if<std::int64_t>(&point.value)) {
    statement.bind(at, *whole);
  } else if (const std::string_view* text = std::get_if<std::string_view>(&point.value)) {
    statement.bind(at, *text);
  } else {
    statement.bind(at, std::int64_t{std::get<bool>(point.value) ? 1 : 0});
  }
}

// 0: there is no such unit.
std::int64_t nanoseconds_in(std::string_view unit) {
  return unit == "SECONDS" || unit == "s"         ? 1'000'000'000
         : unit == "MILLISECONDS" || unit == "ms" ? 1'000'000
         : unit == "MICROSECONDS" || unit == "us" ? 1'000
         : unit == "NANOSECONDS" || unit == "ns"  ? 1
                                                  : 0;
}

}  // namespace

SqliteResult<void> write_point(SqliteDatabase& database, const PointView& point) {
  auto statement = database.prepare(
      "INSERT INTO points(db, tbl, time_ns, name, dims_hash, d, i, s, b, dims) "
      "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO UPDATE SET "
      "d = excluded.d, i = excluded.i, s = excluded.s, b = excluded.b"
  );
  if (!statement) {
    return tl::unexpected(statement.error());
  }
  SqliteStatement& row = **statement;
  row.bind(1, point.database);
  row.bind(2, point.table);
  row.bind(3, point.time_ns);
  row.bind(4, point.name);
  row.bind(5, static_cast<std::int64_t>(stable_hash(point.dimensions)));
  bind_value(row, point);
  row.bind(10, point.dimensions);
  return run_once(row);
}

SqliteResult<void> write_position(SqliteDatabase& database, const PositionView& position) {
  for (const char* sql :
       {"INSERT INTO positions(tracker, device, time_ns, latitude, longitude) VALUES (?1, ?2, ?3, "
        "?4, ?5) "
        "ON CONFLICT DO UPDATE SET latitude = excluded.latitude, longitude = excluded.longitude",
        "INSERT INTO latest_positions(tracker, device, time_ns, latitude, longitude) VALUES (?1, "
        "?2, ?3, ?4, ?5) "
        "ON CONFLICT DO UPDATE SET time_ns = excluded.time_ns, latitude = excluded.latitude, "
        "longitude = excluded.longitude WHERE excluded.time_ns >= time_ns"}) {
    auto statement = database.prepare(sql);
    if (!statement) {
      return tl::unexpected(statement.error());
    }
    SqliteStatement& row = **statement;
    row.bind(1, position.tracker);
    row.bind(2, position.device);
    row.bind(3, position.time_ns);
    row.bind(4, position.latitude);
    row.bind(5, position.longitude);
    if (auto written = run_once(row); !written) {
      return written;
    }
  }
  return {};
}

Result<std::int64_t> to_nanoseconds(std::int64_t value, std::string_view unit) {
  const std::int64_t factor = nanoseconds_in(unit);
  if (factor == 0) {
    return fail(
        Errc::kInvalidRequest,
        fmt::format("'{}' is none of SECONDS, MILLISECONDS, MICROSECONDS and NANOSECONDS", unit)
    );
  }
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  if (value > kMost / factor || value < -(kMost / factor)) {
    return fail(Errc::kInvalidRequest, fmt::format("the time {} {} is out of range", value, unit));
  }
  return value * factor;
}

Result<std::int64_t> to_nanoseconds(std::string_view value, std::string_view unit) {
  std::int64_t number = 0;
  const char* end = value.data() + value.size();
  const auto [at, error] = std::from_chars(value.data(), end, number);
  if (error != std::errc() || at != end) {
    return fail(Errc::kInvalidRequest, fmt::format("the time '{}' is not a whole number", value));
  }
  return to_nanoseconds(number, unit);
}

}  // namespace iotcore::rules::series
