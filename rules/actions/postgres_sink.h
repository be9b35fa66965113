#pragma once

#include "rules/actions/postgres_client.h"
#include "rules/sequence_set.h"
#include "rules/sink.h"

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules::actions {

// What a record does to the database, in order.
struct PostgresWrite {
  std::string sql;      // with $1, $2, …; empty: a row is appended to a table
  std::string table;    // quoted
  std::string columns;  // quoted, with commas
  std::vector<PostgresValue> values;

  bool is_append() const { return sql.empty(); }
};

// A column as PostgreSQL's catalog has it.
struct PostgresColumn {
  std::string type;     // "jsonb", "int4", "_text"
  bool is_key = false;  // of the table's primary key
  char category = 'S';  // pg_type.typcategory: N numbers, A arrays, B Boolean, D times
};

struct PostgresTable {
  std::map<std::string, PostgresColumn, std::less<>> columns;
};

// What the sinks that write to PostgreSQL have in common: one batch is one transaction. Rows that are only appended go by COPY, everything else in a
// pipeline; a row that PostgreSQL refuses is left out and the others written.
//
// Each durable record is written exactly once, whatever crashes: what was written is kept in _iotcore_delivered, in the same transaction. A transaction of
// an earlier connection that is still on its way fails, because the row's version has moved on. Where the role may not create that table, at least once.
class PostgresSink : public Sink {
 public:
  // `id` tells this sink's records from other sinks' in the same database.
  PostgresSink(TargetRef target, const Targets& targets, std::string id)
      : target_(std::move(target)), targets_(targets), id_(std::move(id)) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override;
  Status probe() override;

 protected:
  // Nothing to do: an empty list. An error that is not temporary is this record's only.
  virtual PostgresResult<std::vector<PostgresWrite>> writes_of(const Record& record) = 0;

  // The table as it is; nullptr: there is none. Looked up again when `fresh`, but only once in a batch.
  PostgresResult<const PostgresTable*> find_table(const std::string& name, bool fresh);
  PostgresResult<void> run(const std::string& sql);

 private:
  struct Item {
    std::size_t record;  // index in the batch
    std::vector<PostgresWrite> writes;
  };

  PostgresResult<void> ensure_open();
  PostgresResult<void> prepare_delivered();
  PostgresResult<void> read_delivered();
  std::string begin() const;
  std::string commit(const SequenceSet& delivered) const;
  PostgresResult<void> write(std::span<const Record* const> batch, std::span<Outcome> outcomes);
  PostgresResult<void> write_items(
      std::span<const Item> items, std::span<const Record* const> batch, std::span<Outcome> outcomes
  );
  PostgresResult<void> transact(
      std::span<const Item> items, std::span<const Record* const> batch, bool by_copy
  );
  PostgresResult<void> begin_alone();
  PostgresResult<void> copy_all(std::span<const Item> items);
  PostgresResult<void> run_all(std::span<const Item> items);
  void forget();

  const TargetRef target_;
  const Targets& targets_;
  const std::string id_;
  std::unique_ptr<PostgresConnection> connection_;
  bool keeps_delivered_ = false;
  SequenceSet delivered_;
  std::int64_t version_ = 0;  // of our row in _iotcore_delivered
  std::map<std::string, PostgresTable, std::less<>> tables_;
  // Of this batch: tables that were looked up, and records whose outcome stands.
  std::map<std::string, bool, std::less<>> looked_up_;
  std::vector<bool> settled_;
};

}  // namespace iotcore::rules::actions
