#pragma once

#include "rules/action.h"

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
  static constexpr SinkDefaults kDefaults = {.batch_size = 500, .batch_bytes = 4U << 20};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

}  // namespace iotcore::rules::actions
