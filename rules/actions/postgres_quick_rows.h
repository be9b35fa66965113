#pragma once

#include "rules/actions/postgres_table.h"
#include "rules/actions/postgres_writes.h"
#include "rules/actions/result_members.h"
#include "rules/sink.h"
#include "rules/sql/json_tape.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules::actions {

// A result and the row that it becomes, for results of the same members.
struct PostgresResultShape {
  std::string table;                 // quick_name()
  std::vector<std::string> members;  // of the result, in order
  // What each goes to; empty: `payload`, the first column of the row, takes the result as it is.
  std::vector<PostgresColumn> columns;
  bool has_delivery_id = false;  // columns behind them
  bool has_received_at = false;
  PostgresShapeRef row;
};

// The table as the record names it, and how it treats rows that are there already.
std::string quick_name(const Record& record);

// The short way from results to rows: most are shaped as one of the last was, so that nothing has to be looked up and most values are copied as they are
// written. What is out of the ordinary is left to the long way, which gives the same rows.
class QuickRows {
 public:
  // The row of a record whose result is one; false: nothing is written.
  bool add(const Record& record, PostgresWrites& writes);
  // What the long way has found out of a result.
  void learn(PostgresResultShape shape);

  // The tables may have changed.
  void forget() { shapes_.clear(); }

 private:
  bool add_values(const PostgresResultShape& shape, PostgresWrites& writes);
  bool add_value(const PostgresColumn& column, std::uint32_t node, PostgresWrites& writes);
  bool add_number(const PostgresColumn& column, std::uint32_t node, PostgresWrites& writes) const;

  sql::JsonTape tape_;
  std::string text_;
  ResultShapes<PostgresResultShape> shapes_;
};

}  // namespace iotcore::rules::actions
