#pragma once

#include "rules/actions/postgres.h"
#include "rules/actions/postgres_quick_rows.h"
#include "rules/actions/postgres_sink.h"

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules::actions {

// The first field of a record: what the others are. kStatementMode is another.
inline constexpr std::string_view kPostgresTableMode = "table";  // table, conflict, columns to take
inline constexpr std::string_view kPostgresColumnsMode =
    "columns";  // table, conflict, columns, a value each

// What `conflict` may be besides the key's columns.
inline constexpr std::string_view kPostgresIgnore = "ignore";
inline constexpr std::string_view kPostgresPrimaryKey = "primary key";

// Between names of columns that are one field.
inline constexpr char kNamesSeparator = '\n';
std::string joined_names(const std::vector<std::string>& names);
std::vector<std::string> split_names(std::string_view joined);

// The sink of `postgres`: records become rows and statements.
class PostgresWriter : public PostgresSink {
 public:
  using PostgresSink::PostgresSink;

 protected:
  PostgresResult<void> add_writes(const Record& record, PostgresWrites& writes) override;

 private:
  PostgresResult<void> add_row(const Record& record, bool is_plain, PostgresWrites& writes);
  PostgresResult<const PostgresTable*> ensure_table(const std::string& name);
  PostgresShapeRef shape_of(
      const std::string& name,
      const PostgresTable& table,
      const std::vector<std::string>& columns,
      const std::string& conflict
  );

  QuickRows quick_;
  std::uint64_t tables_seen_ = 0;                                // the version that quick_ knows
  std::map<std::string, PostgresShapeRef, std::less<>> shapes_;  // by table, conflict and columns
};

// Of records that another action has made.
class BoundPostgresWriter final : public PostgresWriter {
 public:
  BoundPostgresWriter(
      TargetRef target, const Targets& targets, std::string id, PostgresFormOf form_of
  )
      : PostgresWriter(std::move(target), targets, std::move(id)), form_of_(form_of) {}

 private:
  PostgresResult<void> add_writes(const Record& record, PostgresWrites& writes) override;
  PostgresResult<const PostgresTable*> ensure_table_of(const PostgresForm& form);
  PostgresResult<PostgresExtensions> find_extensions();
  PostgresResult<void> add_partitions(
      const std::string& table, const PostgresSeries& series, std::int64_t now_ms
  );

  PostgresResult<void> add_partition_of(const std::string& table, std::int64_t day, bool is_ahead);

  const PostgresFormOf form_of_;
  std::set<std::string, std::less<>> partitions_;  // that were asked for
};

}  // namespace iotcore::rules::actions
