#pragma once

#include "rules/actions/postgres_table.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules::actions {

// What rows of one table with the same columns have in common, worded once.
struct PostgresShape {
  PostgresShape(std::string_view name, std::span<const std::string> columns);

  std::string table;
  std::string into;  // "table"("a", "b")
  std::size_t column_count;
  std::vector<std::string> types;  // of the columns, as casts name them
  // " ON CONFLICT …"; empty: rows are only appended.
  std::string conflict;
  // The columns by which such rows overwrite one another; empty: what does it is not known.
  std::vector<std::size_t> key;

  // For one row, with $1, $2, …
  std::string insert() const;
  // For any number of them, with an array of texts for each column.
  std::string insert_all() const;
};

// Shared by those who know it and the rows that are written by it.
using PostgresShapeRef = std::shared_ptr<const PostgresShape>;

struct PostgresStatement {
  std::string sql;  // with $1, $2, …
  std::vector<PostgresValue> values;
};

// What the records of a batch do to the database, in order. Rows that are only appended are kept as COPY's text from the start.
class PostgresWrites {
 public:
  struct Write {
    PostgresShapeRef shape;  // nullptr: a statement
    std::size_t begin = 0;   // in rows(), or the statement's index
    std::size_t end = 0;
  };

  // One record's.
  struct Item {
    std::size_t record = 0;  // index in the batch
    std::size_t first = 0;
    std::size_t end = 0;  // of its writes
  };

  void clear();
  // Each record's writes come between these two; begin() again without end() drops what came.
  void begin();
  void end(std::size_t record);

  // The values of a row, which add_row() ends.
  void append_value(std::optional<std::string_view> value);
  void add_row(PostgresShapeRef shape);
  // Drops values that no add_row() has followed.
  void undo_row();

  void add_statement(PostgresStatement statement);

  // Of the record under way: a text has the character U+0000, which PostgreSQL cannot hold, and at which libpq would end it.
  bool has_zero() const { return has_zero_; }

  std::span<const Item> items() const { return items_; }

  std::span<const Write> writes_of(const Item& item) const {
    return std::span(writes_).subspan(item.first, item.end - item.first);
  }

  // The writes of the item are rows.
  bool are_rows(const Item& item) const;
  // And are appended, whatever is there.
  bool are_appended(const Item& item) const;

  std::string_view text(const Write& row) const {
    return std::string_view(rows_).substr(row.begin, row.end - row.begin);
  }

  // From the first of these rows to the end of the last.
  std::string_view text(const Write& first, const Write& last) const {
    return std::string_view(rows_).substr(first.begin, last.end - first.begin);
  }

  // Any write as a statement.
  PostgresStatement statement(const Write& write) const;

 private:
  std::vector<Item> items_;
  std::vector<Write> writes_;
  std::vector<PostgresStatement> statements_;
  std::string rows_;
  std::size_t row_begin_ = 0;
  bool row_has_values_ = false;
  // Where the record under way began.
  std::size_t writes_begin_ = 0;
  std::size_t statements_begin_ = 0;
  std::size_t rows_begin_ = 0;
  bool has_zero_ = false;
};

// What stands behind a backslash in COPY's text, as it was: 'n' is a line's end.
char copy_letter(char c);
// One value as COPY's text format has it, without what parts it from the next.
void append_copy_text(std::string& out, std::string_view value);
// The values of a row as add_row() has left it.
std::vector<PostgresValue> values_of_row(std::string_view row);

}  // namespace iotcore::rules::actions
