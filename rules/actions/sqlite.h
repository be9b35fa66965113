#pragma once

#include "rules/action.h"

namespace iotcore::rules::actions {

// sqlite(file*, table* | statement*): rows in a SQLite database in WAL mode, up to 1,000 in a transaction.
//
// table (may have ${…}): each member of the result, which must be an object, goes to the column of its name; objects and lists as JSON
// text. A table that is not there is created with those columns; a table that was created so gets further columns as they appear.
// statement: run once for each result; each ${…} is a bound parameter, never text of the statement: numbers are bound as numbers, empty as NULL.
//
// Each durable record is written exactly once, whatever crashes: the sequences of what was written are kept in the database, in
// the transaction that wrote it (table _iotcore_delivered). That ends when the database is replaced by an older copy.
struct Sqlite {
  static constexpr std::string_view kName = "sqlite";
  static constexpr bool kIsAws = false;
  static constexpr SinkDefaults kDefaults = {
      .batch_size = 5000, .batch_bytes = 4U << 20, .concurrency_max = 1};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

}  // namespace iotcore::rules::actions
