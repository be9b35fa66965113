#include "rules/query.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/json.h"
#include "rules/series/series_store.h"
#include "rules/tables/table_store.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <memory>

namespace iotcore::rules {
namespace {

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
};

struct Finalize {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};

using Database = std::unique_ptr<sqlite3, CloseDatabase>;
using Statement = std::unique_ptr<sqlite3_stmt, Finalize>;

constexpr int kStepsBetweenLooks = 10'000;
constexpr int kValueBytesMax = 64 << 20;

// Reading and computing; nothing else, whatever the text says.
int allow_reading(void*, int action, const char*, const char*, const char*, const char*) {
  switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_FUNCTION:
    case SQLITE_RECURSIVE:
      return SQLITE_OK;
    default:
      return SQLITE_DENY;
  }
}

struct Deadline {
  SystemClock clock;
  MonotonicTime at;
};

int is_over(void* deadline) {
  const auto* until = static_cast<const Deadline*>(deadline);
  return until->clock.now() >= until->at ? 1 : 0;
}

Result<Database> open(const std::filesystem::path& file) {
  sqlite3* raw = nullptr;
  const int code =
      sqlite3_open_v2(file.c_str(), &raw, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, nullptr);
  Database database(raw);
  if (code != SQLITE_OK) {
    return fail(
        Errc::kNotFound,
        fmt::format("there is no {} yet: no rule has written to it", file.filename().string())
    );
  }
  constexpr int kBusyMs = 2000;
  sqlite3_busy_timeout(raw, kBusyMs);
  sqlite3_set_authorizer(raw, &allow_reading, nullptr);
  return database;
}

void append_value(std::string& out, sqlite3_stmt* statement, int column) {
  const auto bytes = static_cast<std::size_t>(sqlite3_column_bytes(statement, column));
  switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
      out += fmt::to_string(sqlite3_column_int64(statement, column));
      break;
    case SQLITE_FLOAT:
      append_json_number(out, sqlite3_column_double(statement, column));
      break;
    case SQLITE_TEXT:
      append_json_string(
          out, {reinterpret_cast<const char*>(sqlite3_column_text(statement, column)), bytes}
      );
      break;
    case SQLITE_BLOB:
      append_json_string(
          out, to_base64({static_cast<const char*>(sqlite3_column_blob(statement, column)), bytes})
      );
      break;
    default:
      out += "null";
  }
}

tl::unexpected<Error> error_of(sqlite3* database, int code) {
  return code == SQLITE_INTERRUPT ? fail(Errc::kTimeout, "the query takes too long")
                                  : fail(Errc::kInvalidRequest, sqlite3_errmsg(database));
}

Result<std::string> rows_of(sqlite3* database, sqlite3_stmt* statement, const QueryLimits& limits) {
  std::string out = "{\"columns\":[";
  const int columns = sqlite3_column_count(statement);
  for (int i = 0; i < columns; ++i) {
    out += i == 0 ? "" : ",";
    append_json_string(out, sqlite3_column_name(statement, i));
  }
  out += "],\"rows\":[";
  bool truncated = false;
  for (std::size_t rows = 0;; ++rows) {
    const int code = sqlite3_step(statement);
    if (code == SQLITE_DONE) {
      break;
    }
    if (code != SQLITE_ROW) {
      return error_of(database, code);
    }
    if (rows == limits.rows_max || out.size() > limits.bytes_max) {
      truncated = true;
      break;
    }
    out += rows == 0 ? "[" : ",[";
    for (int i = 0; i < columns; ++i) {
      out += i == 0 ? "" : ",";
      append_value(out, statement, i);
    }
    out += "]";
  }
  out += truncated ? "],\"truncated\":true}\n" : "]}\n";
  return out;
}

}  // namespace

Result<std::string> run_query(
    const std::filesystem::path& sink_folder,
    std::string_view database,
    std::string_view sql,
    const QueryLimits& limits
) {
  const std::string_view file = database == "tables"   ? tables::kFileName
                                : database == "series" ? series::kFileName
                                                       : std::string_view();
  if (file.empty()) {
    return fail(Errc::kInvalidRequest, "database must be tables or series");
  }
  IOTCORE_ASSIGN(const Database opened, open(sink_folder / file));
  // randomblob() and the like take memory in one step, which no deadline stops.
  sqlite3_limit(opened.get(), SQLITE_LIMIT_LENGTH, kValueBytesMax);
  sqlite3_stmt* raw = nullptr;
  const char* tail = nullptr;
  const int code =
      sqlite3_prepare_v2(opened.get(), sql.data(), static_cast<int>(sql.size()), &raw, &tail);
  const Statement statement(raw);
  if (code != SQLITE_OK) {
    return error_of(opened.get(), code);
  }
  const std::string_view rest(tail, static_cast<std::size_t>(sql.data() + sql.size() - tail));
  if (raw == nullptr || rest.find_first_not_of(" \t\r\n;") != std::string_view::npos) {
    return fail(Errc::kInvalidRequest, "write one SELECT");
  }
  Deadline deadline;
  deadline.at = deadline.clock.now() + limits.time_max;
  sqlite3_progress_handler(opened.get(), kStepsBetweenLooks, &is_over, &deadline);
  return rows_of(opened.get(), raw, limits);
}

}  // namespace iotcore::rules
