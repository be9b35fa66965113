#include "rules/series/retention.h"

#include "rules/member_reader.h"
#include "rules/series/series_store.h"

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace iotcore::rules {
namespace {

using actions::SqliteDatabase;
using actions::SqliteResult;
using actions::SqliteStatement;

// So that writers get their turn in between.
constexpr std::int64_t kRowsAtOnce = 5000;

// Two columns that rows begin with in their table's key, and how what is there is called.
struct Tables {
  const char* next;           // the pair after (?1, ?2)
  const char* erase;          // of (?1, ?2) before ?3, at most ?4
  std::string_view database;  // instead of the first; empty: the first
};

constexpr Tables kPoints = {
    "SELECT db, tbl FROM points WHERE (db, tbl) > (?1, ?2) ORDER BY db, tbl LIMIT 1",
    "DELETE FROM points WHERE db = ?1 AND tbl = ?2 AND time_ns < MIN(?3, COALESCE((SELECT time_ns "
    "+ 1 "
    "FROM points WHERE db = ?1 AND tbl = ?2 ORDER BY time_ns LIMIT 1 OFFSET ?4), ?3)) RETURNING 1",
    {}};
constexpr Tables kPositions = {
    "SELECT tracker, device FROM positions WHERE (tracker, device) > (?1, ?2) ORDER BY tracker, "
    "device LIMIT 1",
    "DELETE FROM positions WHERE tracker = ?1 AND device = ?2 AND time_ns < MIN(?3, "
    "COALESCE((SELECT "
    "time_ns + 1 FROM positions WHERE tracker = ?1 AND device = ?2 ORDER BY time_ns LIMIT 1 OFFSET "
    "?4), ?3)) RETURNING 1",
    "location"};

std::optional<std::chrono::milliseconds> kept(const Targets& targets, const std::string& table) {
  const TargetRef target = targets.bind(SeriesTarget::kName, table);
  if (target == nullptr) {
    return std::nullopt;
  }
  MemberReader options(target->options, "", nullptr);
  const auto keep = options.optional_duration_ms("keep");
  return keep ? std::optional(std::chrono::milliseconds(*keep)) : std::nullopt;
}

SqliteResult<std::uint64_t> erase(
    SqliteDatabase& database,
    const Tables& tables,
    const std::pair<std::string, std::string>& pair,
    std::int64_t before_ns
) {
  std::uint64_t all = 0;
  for (std::uint64_t gone = 1; gone > 0; all += gone) {
    gone = 0;
    auto statement = database.prepare(tables.erase);
    if (!statement) {
      return tl::unexpected(statement.error());
    }
    SqliteStatement& rows = **statement;
    rows.bind(1, pair.first);
    rows.bind(2, pair.second);
    rows.bind(3, before_ns);
    rows.bind(4, kRowsAtOnce);
    for (auto row = rows.step();; row = rows.step()) {
      if (!row) {
        rows.reset();
        return tl::unexpected(row.error());
      }
      if (!*row) {
        break;
      }
      ++gone;
    }
    rows.reset();
  }
  return all;
}

SqliteResult<std::uint64_t> drop_old(
    SqliteDatabase& database, const Tables& tables, const Targets& targets, WallTime now
) {
  std::uint64_t all = 0;
  std::pair<std::string, std::string> at;
  for (;;) {
    auto statement = database.prepare(tables.next);
    if (!statement) {
      return tl::unexpected(statement.error());
    }
    SqliteStatement& next = **statement;
    next.bind(1, at.first);
    next.bind(2, at.second);
    auto found = next.step();
    if (found && *found) {
      at = {std::string(next.text(0)), std::string(next.text(1))};
    }
    next.reset();
    if (!found) {
      return tl::unexpected(found.error());
    }
    if (!*found) {
      return all;
    }
    const std::string name = tables.database.empty()
                                 ? at.first + "." + at.second
                                 : std::string(tables.database) + "." + at.first;
    if (const auto keep = kept(targets, name)) {
      const auto before = std::chrono::duration_cast<std::chrono::nanoseconds>(
          std::chrono::milliseconds(to_epoch_ms(now)) - *keep
      );
      auto gone = erase(database, tables, at, before.count());
      if (!gone) {
        return gone;
      }
      all += *gone;
    }
  }
}

}  // namespace

void SeriesTarget::check(MemberReader& options) {
  if (!options.has("match")) {
    options.fail_at(options.pointer(), "member match is missing: which tables it describes");
  }
  const auto keep = options.optional_duration_ms("keep");
  if (!options.has("keep") || (keep && *keep < 1)) {
    options.fail_at(options.pointer(), "keep says for how long, as '30d'");
  }
}

Result<std::uint64_t> drop_old_points(
    const std::filesystem::path& file, const Targets& targets, WallTime now
) {
  std::error_code error;
  if (!targets.binds_any(SeriesTarget::kName) || !std::filesystem::exists(file, error)) {
    return 0;
  }
  auto database = SqliteDatabase::open(file);
  SqliteResult<void> ready =
      database ? (*database)->run(series::kSchema) : tl::unexpected(database.error());
  if (!ready) {
    return fail(Errc::kUnavailable, ready.error().message);
  }
  std::uint64_t all = 0;
  for (const Tables* tables : {&kPoints, &kPositions}) {
    const auto gone = drop_old(**database, *tables, targets, now);
    if (!gone) {
      return fail(Errc::kUnavailable, gone.error().message);
    }
    all += *gone;
  }
  return all;
}

}  // namespace iotcore::rules
