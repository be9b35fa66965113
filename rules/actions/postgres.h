#pragma once

#include "rules/action.h"
#include "rules/actions/postgres_series.h"
#include "rules/targets.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules::actions {

// postgres(target*, table* | statement*, columns, onConflict): rows in PostgreSQL, a batch a transaction.
//
// table (may have ${…}, and a schema before a dot): each member of the result goes to the column of its name; objects and lists as JSON, milliseconds as
// times where the column is one. columns = ['a', 'b'] takes only these members; columns = {'a': '${…}'} takes what the templates give instead of the
// result. A column payload of type jsonb takes the whole result if it is not an object of these columns; columns delivery_id and received_at are filled if
// they are there. A table that is not there is made with these three.
// onConflict = 'ignore' leaves rows alone that are there; onConflict = ['key', …] overwrites them.
// statement: run once for each result; each ${…} is a bound parameter, never text of the statement; empty ones are NULL.
//
// Each durable record is written exactly once (see postgres_sink.h).
struct Postgres {
  static constexpr std::string_view kName = "postgres";
  static constexpr bool kIsAws = false;
  static constexpr SinkDefaults kDefaults = {.batch_size = 5000, .batch_bytes = 4U << 20};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

// What a record of another action becomes in PostgreSQL.
struct PostgresForm {
  Action::Fields fields;               // made by one of those below
  std::vector<Action::Fields> more;    // rows besides
  std::optional<std::string> payload;  // instead of the record's
  std::string create;  // of a table that is not there; empty: as the postgres action makes it
  std::optional<PostgresSeries> series;  // that table is one
};

using PostgresFormOf = Result<PostgresForm> (*)(const Record& record);

// The payload's members by their columns; a row of the same primary key is overwritten if `upsert`.
Action::Fields postgres_payload_row(std::string table, bool upsert);
// These columns; a row of the same `key` is overwritten.
Action::Fields postgres_row(
    std::string table,
    const std::vector<std::string>& key,
    const std::vector<std::string>& columns,
    std::vector<std::string> values
);
Action::Fields postgres_statement(std::string statement, std::vector<std::string> parameters);

// The sink of actions of `kind` that are bound to a target of kind `postgres`.
Result<std::unique_ptr<Sink>> make_postgres_sink(
    std::string_view kind,
    const TargetRef& target,
    const SinkEnvironment& environment,
    PostgresFormOf form_of
);

}  // namespace iotcore::rules::actions
