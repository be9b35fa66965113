#include "rules/actions/postgres_writes.h"

#include "rules/actions/postgres_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace iotcore::rules::actions {
namespace {

constexpr std::string_view kNull = "\\N";

char letter_of(char c) {
  switch (c) {
    case '\n':
      return 'n';
    case '\r':
      return 'r';
    case '\t':
      return 't';
    default:
      return c;
  }
}

}  // namespace

PostgresShape::PostgresShape(std::string_view name, std::span<const std::string> columns)
    : table(name), column_count(columns.size()) {
  into = postgres_quoted_table(name) + "(";
  for (const std::string& column : columns) {
    into += (into.ends_with('(') ? "" : ", ") + postgres_quoted(column);
  }
  into += ")";
}

std::string PostgresShape::insert() const {
  std::string values;
  for (std::size_t i = 1; i <= column_count; ++i) {
    values += fmt::format("{}${}", i == 1 ? "" : ", ", i);
  }
  return fmt::format("INSERT INTO {} VALUES ({}){}", into, values, conflict);
}

std::string PostgresShape::insert_all() const {
  std::string names;
  std::string values;
  std::string arrays;
  for (std::size_t i = 1; i <= column_count; ++i) {
    const std::string_view comma = i == 1 ? "" : ", ";
    names += fmt::format("{}c{}", comma, i);
    values += fmt::format("{}c{}::{}", comma, i, types[i - 1]);
    arrays += fmt::format("{}${}::text[]", comma, i);
  }
  return fmt::format(
      "INSERT INTO {} SELECT {} FROM unnest({}) AS rows({}){}",
      into,
      values,
      arrays,
      names,
      conflict
  );
}

bool PostgresWrites::are_rows(const Item& item) const {
  return item.first != item.end && std::ranges::all_of(writes_of(item), [](const Write& each) {
           return each.shape != nullptr;
         });
}

bool PostgresWrites::are_appended(const Item& item) const {
  return are_rows(item) && std::ranges::all_of(writes_of(item), [](const Write& each) {
           return each.shape->conflict.empty();
         });
}

void PostgresWrites::clear() {
  items_.clear();
  writes_.clear();
  statements_.clear();
  rows_.clear();
  row_begin_ = writes_begin_ = statements_begin_ = rows_begin_ = 0;
  row_has_values_ = false;
}

void PostgresWrites::begin() {
  has_zero_ = false;
  writes_.resize(writes_begin_);
  statements_.resize(statements_begin_);
  rows_.resize(rows_begin_);
  row_begin_ = rows_begin_;
  row_has_values_ = false;
}

void PostgresWrites::undo_row() {
  rows_.resize(row_begin_);
  row_has_values_ = false;
}

void PostgresWrites::end(std::size_t record) {
  items_.push_back({record, writes_begin_, writes_.size()});
  writes_begin_ = writes_.size();
  statements_begin_ = statements_.size();
  rows_begin_ = rows_.size();
}

void PostgresWrites::append_value(std::optional<std::string_view> value) {
  if (std::exchange(row_has_values_, true)) {
    rows_ += '\t';
  }
  if (value) {
    has_zero_ = has_zero_ || value->find('\0') != std::string_view::npos;
    append_copy_text(rows_, *value);
  } else {
    rows_ += kNull;
  }
}

void PostgresWrites::add_row(PostgresShapeRef shape) {
  rows_ += '\n';
  writes_.push_back({std::move(shape), row_begin_, rows_.size()});
  row_begin_ = rows_.size();
  row_has_values_ = false;
}

void PostgresWrites::add_statement(PostgresStatement statement) {
  has_zero_ = has_zero_ || std::ranges::any_of(statement.values, [](const PostgresValue& value) {
                return value && value->find('\0') != std::string::npos;
              });
  writes_.push_back({nullptr, statements_.size(), statements_.size() + 1});
  statements_.push_back(std::move(statement));
}

PostgresStatement PostgresWrites::statement(const Write& write) const {
  if (write.shape == nullptr) {
    return statements_[write.begin];
  }
  return {write.shape->insert(), values_of_row(text(write))};
}

char copy_letter(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return c;
  }
}

void append_copy_text(std::string& out, std::string_view value) {
  std::size_t plain = 0;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const char c = value[i];
    if (c != '\\' && c != '\n' && c != '\r' && c != '\t') {
      continue;
    }
    out += value.substr(plain, i - plain);
    out += '\\';
    out += letter_of(c);
    plain = i + 1;
  }
  out += value.substr(plain);
}

std::vector<PostgresValue> values_of_row(std::string_view row) {
  row.remove_suffix(row.ends_with('\n') ? 1 : 0);
  std::vector<PostgresValue> values;
  for (;;) {
    const std::size_t end = row.find('\t');
    const std::string_view text = row.substr(0, end);
    if (text == kNull) {
      values.emplace_back();
    } else {
      std::string& value = *values.emplace_back(std::string());
      for (std::size_t i = 0; i < text.size(); ++i) {
        value += text[i] == '\\' && i + 1 < text.size() ? copy_letter(text[++i]) : text[i];
      }
    }
    if (end == std::string_view::npos) {
      return values;
    }
    row.remove_prefix(end + 1);
  }
}

}  // namespace iotcore::rules::actions
