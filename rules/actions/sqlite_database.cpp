#include "rules/actions/sqlite_database.h"

#include <sys/stat.h>

namespace iotcore::rules::actions {
namespace {

constexpr int kBusyTimeoutMs = 2000;

std::uint64_t inode_of(const std::filesystem::path& path) {
  struct stat info = {};
  return ::stat(path.c_str(), &info) == 0 ? static_cast<std::uint64_t>(info.st_ino) : 0;
}

}  // namespace

bool SqliteError::is_temporary() const {
  switch (code & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR:
    case SQLITE_FULL:
    case SQLITE_CANTOPEN:
    case SQLITE_NOMEM:
    case SQLITE_PROTOCOL:
    case SQLITE_INTERRUPT:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_SCHEMA:
      return true;
    default:
      return false;
  }
}

std::string sqlite_quoted(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) {
    out += c;
    if (c == '"') {
      out += c;
    }
  }
  return out + '"';
}

void SqliteStatement::bind(int at, std::string_view text) {
  // What is bound outlives the step that follows.
  sqlite3_bind_text64(
      statement_.get(),
      at,
      text.data() == nullptr ? "" : text.data(),
      text.size(),
      SQLITE_STATIC,
      SQLITE_UTF8
  );
}

void SqliteStatement::bind(int at, std::int64_t number) {
  sqlite3_bind_int64(statement_.get(), at, number);
}

void SqliteStatement::bind(int at, double number) {
  sqlite3_bind_double(statement_.get(), at, number);
}

void SqliteStatement::bind_null(int at) {
  sqlite3_bind_null(statement_.get(), at);
}

SqliteResult<bool> SqliteStatement::step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) {
    return true;
  }
  if (code == SQLITE_DONE) {
    return false;
  }
  sqlite3* database = sqlite3_db_handle(statement_.get());
  return tl::unexpected(SqliteError{code, sqlite3_errmsg(database)});
}

std::string_view SqliteStatement::text(int column) const {
  const unsigned char* text = sqlite3_column_text(statement_.get(), column);
  return text == nullptr
             ? std::string_view()
             : std::string_view(
                   reinterpret_cast<const char*>(text),
                   static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))
               );
}

std::int64_t SqliteStatement::integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

void SqliteStatement::reset() {
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
}

SqliteResult<std::unique_ptr<SqliteDatabase>> SqliteDatabase::open(const std::filesystem::path& path
) {
  std::error_code ignored;  // opening says what is wrong
  std::filesystem::create_directories(path.parent_path(), ignored);
  auto opened = std::make_unique<SqliteDatabase>();
  sqlite3* database = nullptr;
  const int code = sqlite3_open_v2(
      path.c_str(),
      &database,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
      nullptr
  );
  opened->database_.reset(database);
  opened->path_ = path;
  if (code != SQLITE_OK) {
    return tl::unexpected(SqliteError{
        code, database == nullptr ? "out of memory" : sqlite3_errmsg(database)});
  }
  sqlite3_busy_timeout(database, kBusyTimeoutMs);
  for (const char* setting :
       {"PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON"}) {
    if (auto set = opened->run(setting); !set) {
      return tl::unexpected(std::move(set).error());
    }
  }
  opened->inode_ = inode_of(path);
  return opened;
}

SqliteResult<void> SqliteDatabase::run(const std::string& sql) {
  const int code = sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) {
    return tl::unexpected(error());
  }
  return {};
}

SqliteResult<SqliteStatement*> SqliteDatabase::prepare(const std::string& sql) {
  if (const auto found = statements_.find(sql); found != statements_.end()) {
    found->second.reset();
    return &found->second;
  }
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(
      database_.get(),
      sql.data(),
      static_cast<int>(sql.size()),
      SQLITE_PREPARE_PERSISTENT,
      &statement,
      nullptr
  );
  if (code != SQLITE_OK) {
    return tl::unexpected(error());
  }
  if (statement == nullptr) {
    return tl::unexpected(SqliteError{SQLITE_ERROR, "the statement is empty"});
  }
  if (statements_.size() >= kStatementsMax) {
    statements_.clear();
  }
  return &statements_.emplace(sql, SqliteStatement(statement)).first->second;
}

bool SqliteDatabase::is_current() const {
  return inode_ != 0 && inode_of(path_) == inode_;
}

SqliteError SqliteDatabase::error() const {
  return {sqlite3_extended_errcode(database_.get()), sqlite3_errmsg(database_.get())};
}

SqliteResult<void> run_once(SqliteStatement& statement) {
  const auto done = statement.step();
  statement.reset();
  if (!done) {
    return tl::unexpected(done.error());
  }
  return {};
}

}  // namespace iotcore::rules::actions
