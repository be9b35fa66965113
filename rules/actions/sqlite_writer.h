#pragma once

#include "base/json.h"
#include "rules/actions/result_members.h"
#include "rules/actions/sqlite_database.h"
#include "rules/sequence_set.h"
#include "rules/sink.h"

#include <cstdint>
#include <deque>
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

  // A result of the same members as one before.
  struct ResultShape {
    std::string table;
    std::vector<std::string> members;
    std::string insert;
  };

  SqliteResult<void> write(const Record& record);
  // Parses the result of the record, and looks whether it is such a one.
  const ResultShape* find_shape(const Record& record);
  // False: one of its values is out of the ordinary, and nothing is written.
  SqliteResult<bool> write_quickly(const ResultShape& shape);
  bool bind_node(SqliteStatement& statement, int at, std::uint32_t node);
  // Answers with the statement.
  SqliteResult<std::string> write_row(const std::string& table, const json::object& row);
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
  ResultShapes<ResultShape> shapes_;
  sql::JsonTape tape_;             // the result under way
  std::deque<std::string> texts_;  // what is bound of it and stands otherwise there
};

}  // namespace iotcore::rules::actions
