#pragma once

#include "base/result.h"

#include <sqlite3.h>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace iotcore::rules::actions {

// What SQLite answered, and whether it is worth another try.
struct SqliteError {
  int code = SQLITE_OK;
  std::string message;

  // The database's fault or state, and not the row's.
  bool is_temporary() const;
};

template <typename T>
using SqliteResult = tl::expected<T, SqliteError>;

// A prepared statement.
class SqliteStatement {
 public:
  explicit SqliteStatement(sqlite3_stmt* statement) : statement_(statement) {}

  void bind(int at, std::string_view text);
  void bind(int at, std::int64_t number);
  void bind(int at, double number);
  void bind_null(int at);

  // One row more: true. Views of its columns are valid until the next step.
  SqliteResult<bool> step();
  std::string_view text(int column) const;
  std::int64_t integer(int column) const;
  // Ready to be bound and run again.
  void reset();

  int parameter_count() const { return sqlite3_bind_parameter_count(statement_.get()); }

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };

  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// One connection to a database file. One thread at a time.
class SqliteDatabase {
 public:
  // Creates the file and its folders if they are not there; WAL mode, a commit is on disk when it returns.
  static SqliteResult<std::unique_ptr<SqliteDatabase>> open(const std::filesystem::path& path);

  SqliteResult<void> run(const std::string& sql);
  // Kept for the next time, up to a number of them; valid until the next prepare().
  SqliteResult<SqliteStatement*> prepare(const std::string& sql);

  void forget_statements() { statements_.clear(); }

  bool in_transaction() const { return sqlite3_get_autocommit(database_.get()) == 0; }

  // The file that was opened is still the one of that name.
  bool is_current() const;

  SqliteError error() const;

 private:
  struct Close {
    void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
  };

  static constexpr std::size_t kStatementsMax = 128;

  std::filesystem::path path_;
  std::uint64_t inode_ = 0;
  std::unique_ptr<sqlite3, Close> database_;
  std::map<std::string, SqliteStatement, std::less<>> statements_;
};

// Of a statement without rows, which can be bound anew then.
SqliteResult<void> run_once(SqliteStatement& statement);

// "name", with its quotes doubled.
std::string sqlite_quoted(std::string_view name);

}  // namespace iotcore::rules::actions
