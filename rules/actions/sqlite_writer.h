#pragma once

#include "base/json.h"
#include "rules/actions/sqlite_database.h"
#include "rules/sequence_set.h"
#include "rules/sink.h"

#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules::actions {

// The first field of a record: what the others are.
inline constexpr std::string_view kTableMode = "table";  // table

// The sink of `sqlite`: one database.
class SqliteWriter final : public Sink {
 public:
  SqliteWriter(std::filesystem::path path, std::string outbox_id)
      : path_(std::move(path)), outbox_id_(std::move(outbox_id)) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override;
  Status probe() override;

 private:
  struct Table {
    std::set<std::string, std::less<>> columns;  // lower case
    bool is_ours = false;
  };

  SqliteResult<void> ensure_open();
  SqliteResult<void> read_delivered();
  SqliteResult<void> write_delivered();
  SqliteResult<void> write_batch(std::span<const Record* const> batch, std::span<Outcome> outcomes);
  SqliteResult<void> write(const Record& record);
  SqliteResult<void> write_row(const std::string& table, const json::object& row);
  SqliteResult<void> run_statement(const Record& record);
  // The table, made or widened so that it has the columns of `row`.
  SqliteResult<void> ensure_columns(const std::string& name, const json::object& row);
  SqliteResult<Table*> find_table(const std::string& name);
  SqliteResult<void> create_table(const std::string& name, const json::object& row);
  void forget();

  const std::filesystem::path path_;
  const std::string outbox_id_;
  std::unique_ptr<SqliteDatabase> database_;
  SequenceSet delivered_;  // of our outbox, as the database has it
  std::map<std::string, Table, std::less<>> tables_;
  std::map<std::string, std::string, std::less<>> inserts_;  // by table and columns
};

}  // namespace iotcore::rules::actions
