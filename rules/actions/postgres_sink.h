#pragma once

#include "rules/actions/postgres_client.h"
#include "rules/actions/postgres_table.h"
#include "rules/actions/postgres_writes.h"
#include "rules/sequence_set.h"
#include "rules/sink.h"

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules::actions {

// What the sinks that write to PostgreSQL have in common. A batch is one transaction if all of it is rows: those that are only appended go by COPY, others by a
// statement for all of the same shape; everything else goes in pipelines, some hundreds of records a transaction. A row that PostgreSQL refuses is left out and the others are written: the batch is made smaller until
// the row is found.
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
  // Adds what the record does, which may be nothing. An error that is not temporary is this record's only.
  virtual PostgresResult<void> add_writes(const Record& record, PostgresWrites& writes) = 0;

  // One more when what is known of the tables has been forgotten or has changed.
  std::uint64_t tables_version() const { return tables_version_; }

  // The table as it is; nullptr: there is none. Looked up again when `fresh`, but only once in a batch.
  PostgresResult<const PostgresTable*> find_table(const std::string& name, bool fresh);
  PostgresResult<void> run(const std::string& sql);
  PostgresResult<PostgresRows> query(const std::string& sql, std::vector<PostgresValue> parameters);

 private:
  using Items = std::span<const PostgresWrites::Item>;

  enum class Way : std::uint8_t { kCopy, kArrays, kPipeline };

  PostgresResult<void> ensure_open();
  PostgresResult<void> prepare_delivered();
  PostgresResult<void> read_delivered();
  std::string begin() const;
  std::string commit(const SequenceSet& delivered) const;
  PostgresResult<void> write(std::span<const Record* const> batch, std::span<Outcome> outcomes);
  PostgresResult<void> write_items(
      std::span<const Record* const> batch, std::span<Outcome> outcomes
  );
  // From the front of these: how many are done with, if no error is temporary. `limit`: of a transaction.
  PostgresResult<std::size_t> write_some(
      Items items,
      std::span<const Record* const> batch,
      std::span<Outcome> outcomes,
      std::size_t& limit
  );
  // How the first of these go, which `items` are then.
  Way way_of(Items& items, std::size_t limit) const;
  PostgresResult<void> transact(Items items, std::span<const Record* const> batch, Way way);
  PostgresResult<void> run_begin();
  PostgresResult<void> insert_all(Items items, const SequenceSet& delivered);
  PostgresResult<void> copy_all(Items items, const SequenceSet& delivered);
  PostgresResult<void> run_all(Items items, const SequenceSet& delivered);
  void forget_tables();

  const TargetRef target_;
  const Targets& targets_;
  const std::string id_;
  std::unique_ptr<PostgresConnection> connection_;
  bool keeps_delivered_ = false;
  SequenceSet delivered_;
  std::int64_t version_ = 0;  // of our row in _iotcore_delivered
  std::map<std::string, PostgresTable, std::less<>> tables_;
  std::uint64_t tables_version_ = 0;
  // Of this batch: tables that were looked up, and records whose outcome stands.
  std::map<std::string, bool, std::less<>> looked_up_;
  std::vector<bool> settled_;
  PostgresWrites writes_;
};

}  // namespace iotcore::rules::actions
