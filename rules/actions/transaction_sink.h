#pragma once

#include "rules/actions/sqlite_database.h"
#include "rules/sink.h"

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

namespace iotcore::rules::actions {

// A sink that writes rows to a SQLite database of the server's own, a batch in one transaction. What a record writes goes by a key of its own, so that
// writing it again after a crash changes nothing.
class TransactionSink final : public Sink {
 public:
  // An error that is not temporary is the record's; then it has written nothing.
  using Write = std::function<SqliteResult<void>(SqliteDatabase& database, const Record& record)>;

  // `schema` makes the tables that are not there.
  TransactionSink(std::filesystem::path file, std::string schema, Write write)
      : file_(std::move(file)), schema_(std::move(schema)), write_(std::move(write)) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override;
  Status probe() override;

 private:
  SqliteResult<void> ensure_open();
  SqliteResult<void> write_batch(std::span<const Record* const> batch, std::span<Outcome> outcomes);

  const std::filesystem::path file_;
  const std::string schema_;
  const Write write_;
  std::unique_ptr<SqliteDatabase> database_;
};

// An error of the record's own.
inline tl::unexpected<SqliteError> refuse_record(std::string message) {
  return tl::unexpected(SqliteError{SQLITE_MISMATCH, std::move(message)});
}

}  // namespace iotcore::rules::actions
