#include "rules/actions/postgres_writer.h"

#include "base/log.h"
#include "rules/actions/bound_statement.h"
#include "rules/actions/postgres_row.h"

#include <boost/json/monotonic_resource.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace iotcore::rules::actions {
namespace {

constexpr std::size_t kShapesMax = 256;
constexpr std::size_t kPartitionsMax = 10'000;
constexpr std::string_view kLockNotAvailable = "55P03";
constexpr std::string_view kNoColumn = "42703";

tl::unexpected<PostgresError> refuse(std::string message) {
  return tl::unexpected(PostgresError{"22000", std::move(message), 0});
}

tl::unexpected<PostgresError> no_column(const Record& record, std::string_view column) {
  return tl::unexpected(PostgresError{
      std::string(kNoColumn), fmt::format("table {} has no column {}", record.fields[1], column), 0}
  );
}

// A row on its way: columns as the table has them.
struct Row {
  std::vector<std::string> columns;
  std::vector<PostgresValue> values;
  bool is_whole = false;  // the result in one column

  void add(std::string column, PostgresValue value) {
    columns.push_back(std::move(column));
    values.push_back(std::move(value));
  }

  bool has(std::string_view column) const {
    return std::ranges::find(columns, column) != columns.end();
  }
};

Row row_of_all(
    const std::pair<const std::string, PostgresColumn>& payload, const json::value& result
) {
  Row row;
  row.is_whole = true;
  row.add(payload.first, to_json(result));
  return row;
}

PostgresResult<Row> row_of_result(
    const PostgresTable& table, const Record& record, const Result<json::value>& result
) {
  const auto* const payload = find_column(table, "payload");
  const bool takes_all = payload != nullptr && is_json_column(payload->second);
  if (!result) {
    return refuse("the result is not JSON");
  }
  if (!result->is_object() && !takes_all) {
    return refuse("the result is not an object, so it has no columns");
  }
  if (!result->is_object()) {
    return row_of_all(*payload, *result);
  }
  Row row;
  const std::vector<std::string> picked = split_names(record.fields[3]);
  for (const auto& member : result->get_object()) {
    const std::string_view name = member.key();
    if (!picked.empty() && std::ranges::find(picked, name) == picked.end()) {
      continue;
    }
    const auto* const column = find_column(table, name);
    if (column == nullptr && takes_all) {
      return row_of_all(*payload, *result);
    }
    if (column == nullptr) {
      return no_column(record, name);
    }
    row.add(column->first, to_postgres(member.value(), column->second));
  }
  return row;
}

PostgresResult<Row> row_of_columns(const PostgresTable& table, const Record& record) {
  Row row;
  const std::vector<std::string> names = split_names(record.fields[3]);
  if (names.size() + 4 != record.fields.size()) {
    return refuse("not a record of this kind");
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto* const column = find_column(table, names[i]);
    if (column == nullptr) {
      return no_column(record, names[i]);
    }
    row.add(column->first, to_postgres(record.fields[i + 4], column->second));
  }
  return row;
}

PostgresResult<Row> row_of(
    const PostgresTable& table, const Record& record, const Result<json::value>& result
) {
  return record.fields[0] == kPostgresColumnsMode ? row_of_columns(table, record)
                                                  : row_of_result(table, record, result);
}

// Columns that the result has nothing for, and we have.
void add_ours(const PostgresTable& table, const Record& record, Row& row) {
  if (table.columns.contains("delivery_id") && !row.has("delivery_id")) {
    row.add("delivery_id", record.delivery_id);
  }
  if (table.columns.contains("received_at") && !row.has("received_at")) {
    row.add("received_at", postgres_time(record.received_ms));
  }
}

// The columns of the primary key, if they are all among these.
std::string key_within(const PostgresTable& table, const Row& row) {
  std::vector<std::string> key;
  for (const auto& [name, column] : table.columns) {
    if (column.is_key && !row.has(name)) {
      return {};
    }
    if (column.is_key) {
      key.push_back(name);
    }
  }
  return joined_names(key);
}

std::string conflict_clause(const std::vector<std::string>& columns, std::string_view conflict) {
  if (conflict.empty()) {
    return {};
  }
  if (conflict == kPostgresIgnore) {
    return " ON CONFLICT DO NOTHING";
  }
  const std::vector<std::string> keys = split_names(conflict);
  std::string quoted_keys;
  for (const std::string& key : keys) {
    quoted_keys += (quoted_keys.empty() ? "" : ", ") + postgres_quoted(key);
  }
  std::string sets;
  for (const std::string& column : columns) {
    if (std::ranges::find(keys, column) == keys.end()) {
      const std::string quoted = postgres_quoted(column);
      sets += fmt::format("{}{} = excluded.{}", sets.empty() ? "" : ", ", quoted, quoted);
    }
  }
  return fmt::format(
      " ON CONFLICT ({}) DO {}", quoted_keys, sets.empty() ? "NOTHING" : "UPDATE SET " + sets
  );
}

// The places of the key's columns among these; empty: they are not all there, or it is not known.
std::vector<std::size_t> key_places(
    const std::vector<std::string>& columns, std::string_view conflict
) {
  std::vector<std::size_t> places;
  if (conflict == kPostgresIgnore) {
    return places;
  }
  for (const std::string& key : split_names(conflict)) {
    const auto found = std::ranges::find(columns, key);
    if (found == columns.end()) {
      return {};
    }
    places.push_back(static_cast<std::size_t>(found - columns.begin()));
  }
  return places;
}

// For rows of further results with the same members.
PostgresResultShape result_shape(
    const PostgresTable& table, const Record& record, const json::object& result, const Row& row
) {
  PostgresResultShape shape;
  shape.table = quick_name(record);
  for (const auto& member : result) {
    shape.members.emplace_back(member.key());
    if (!row.is_whole) {
      shape.columns.push_back(find_column(table, member.key())->second);
    }
  }
  const std::size_t results = row.is_whole ? 1 : shape.members.size();
  shape.has_delivery_id = row.columns.size() > results && row.columns[results] == "delivery_id";
  shape.has_received_at = row.columns.size() > results && row.columns.back() == "received_at";
  return shape;
}

// Another sink has made it meanwhile.
bool is_made_at_once(const PostgresError& error) {
  return error.sqlstate == "42P07" || error.sqlstate == "23505";
}

// The column that PostGIS has for it, where the table has that.
void add_position(const PostgresTable& table, PostgresForm& form) {
  const auto column = table.columns.find(kPostgresPosition);
  if (form.series->position.empty() || column == table.columns.end() ||
      column->second.type != "geography") {
    return;
  }
  form.fields[3] += kNamesSeparator;
  form.fields[3] += kPostgresPosition;
  form.fields.push_back(form.series->position);
}

}  // namespace

std::vector<std::string> split_names(std::string_view joined) {
  std::vector<std::string> names;
  while (!joined.empty()) {
    const std::size_t end = joined.find(kNamesSeparator);
    names.emplace_back(joined.substr(0, end));
    joined.remove_prefix(end == std::string_view::npos ? joined.size() : end + 1);
  }
  return names;
}

std::string joined_names(const std::vector<std::string>& names) {
  return fmt::format("{}", fmt::join(names, std::string(1, kNamesSeparator)));
}

PostgresShapeRef PostgresWriter::shape_of(
    const std::string& name,
    const PostgresTable& table,
    const std::vector<std::string>& columns,
    const std::string& conflict
) {
  std::string key = name + '\0' + conflict;
  for (const std::string& column : columns) {
    key += '\0';
    key += column;
  }
  const auto found = shapes_.find(key);
  if (found != shapes_.end()) {
    return found->second;
  }
  if (shapes_.size() >= kShapesMax) {
    shapes_.clear();
  }
  auto shape = std::make_shared<PostgresShape>(name, columns);
  for (const std::string& column : columns) {
    shape->types.push_back(table.columns.at(column).cast);
  }
  shape->conflict = conflict_clause(columns, conflict);
  shape->key = key_places(columns, conflict);
  return shapes_.emplace(std::move(key), std::move(shape)).first->second;
}

PostgresResult<const PostgresTable*> PostgresWriter::ensure_table(const std::string& name) {
  auto found = find_table(name, false);
  if (!found || *found != nullptr) {
    return found;
  }
  auto made = run(fmt::format(
      "CREATE TABLE IF NOT EXISTS {}(delivery_id text NOT NULL, received_at timestamptz NOT "
      "NULL, payload jsonb NOT NULL)",
      postgres_quoted_table(name)
  ));
  if (!made) {
    return tl::unexpected(std::move(made).error());
  }
  found = find_table(name, true);
  if (found && *found == nullptr) {
    return tl::unexpected(PostgresError{"", "table " + name + " is gone again", 0});
  }
  return found;
}

PostgresResult<void> PostgresWriter::add_writes(const Record& record, PostgresWrites& writes) {
  if (!record.fields.empty() && record.fields[0] == kStatementMode && record.fields.size() >= 2) {
    PostgresStatement statement;
    statement.sql = record.fields[1];
    for (std::size_t i = 2; i < record.fields.size(); ++i) {
      const std::string& text = record.fields[i];
      statement.values.push_back(text.empty() ? PostgresValue() : PostgresValue(text));
    }
    writes.add_statement(std::move(statement));
    return {};
  }
  if (record.fields.size() < 4) {
    return refuse("not a record of this kind");
  }
  if (std::exchange(tables_seen_, tables_version()) != tables_version()) {
    quick_.forget();
    shapes_.clear();
  }
  const bool is_plain = record.fields[0] == kPostgresTableMode && record.fields[3].empty();
  if (is_plain && quick_.add(record, writes)) {
    return {};
  }
  return add_row(record, is_plain, writes);
}

PostgresResult<void> PostgresWriter::add_row(
    const Record& record, bool is_plain, PostgresWrites& writes
) {
  auto table = ensure_table(record.fields[1]);
  if (!table) {
    return tl::unexpected(std::move(table).error());
  }
  boost::json::monotonic_resource memory;
  const Result<json::value> result = record.fields[0] == kPostgresColumnsMode
                                         ? Result<json::value>(json::value())
                                         : parse_json(record.payload, {}, &memory);
  auto row = row_of(**table, record, result);
  if (!row && row.error().sqlstate == kNoColumn) {  // somebody may have added the column
    table = find_table(record.fields[1], true);
    if (!table || *table == nullptr) {
      return refuse(row.error().message);
    }
    row = row_of(**table, record, result);
  }
  if (!row) {
    return tl::unexpected(std::move(row).error());
  }
  add_ours(**table, record, *row);
  if (row->values.empty()) {
    writes.add_statement(
        {"INSERT INTO " + postgres_quoted_table(record.fields[1]) + " DEFAULT VALUES", {}}
    );
    return {};
  }
  const std::string conflict =
      record.fields[2] == kPostgresPrimaryKey ? key_within(**table, *row) : record.fields[2];
  const PostgresShapeRef shape = shape_of(record.fields[1], **table, row->columns, conflict);
  for (const PostgresValue& value : row->values) {
    writes.append_value(value);
  }
  writes.add_row(shape);
  if (is_plain && result && result->is_object()) {
    PostgresResultShape learnt = result_shape(**table, record, result->get_object(), *row);
    learnt.row = shape;
    quick_.learn(std::move(learnt));
  }
  return {};
}

PostgresResult<PostgresExtensions> BoundPostgresWriter::find_extensions() {
  auto rows = query(
      "SELECT e.extname, n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = "
      "e.extnamespace WHERE e.extname IN ('timescaledb', 'postgis')",
      {}
  );
  if (!rows) {
    return tl::unexpected(std::move(rows).error());
  }
  PostgresExtensions found;
  for (const std::vector<PostgresValue>& row : *rows) {
    (row[0] == "postgis" ? found.postgis : found.timescaledb) = row[1].value_or("");
  }
  return found;
}

PostgresResult<const PostgresTable*> BoundPostgresWriter::ensure_table_of(const PostgresForm& form
) {
  const std::string& name = form.fields[1];
  auto found = find_table(name, false);
  if (!found || *found != nullptr) {
    return found;
  }
  std::string sql = form.create;
  if (form.series) {
    auto extensions = find_extensions();
    if (!extensions) {
      return tl::unexpected(std::move(extensions).error());
    }
    sql = create_series(name, form.create, *form.series, *extensions);
  }
  auto made = run(sql);
  if (!made && !is_made_at_once(made.error())) {
    return tl::unexpected(std::move(made).error());
  }
  return find_table(name, true);
}

PostgresResult<void> BoundPostgresWriter::add_partition_of(
    const std::string& table, std::int64_t day, bool is_ahead
) {
  std::string partition = partition_name(table, day);
  // What could not be made ahead is tried again when its day has come.
  std::string known = partition + (is_ahead ? " ahead" : "");
  if (partitions_.contains(known)) {
    return {};
  }
  auto there = query("SELECT to_regclass($1)", {postgres_quoted_table(partition)});
  if (!there) {
    return tl::unexpected(std::move(there).error());
  }
  if (there->empty() || !there->front()[0]) {
    auto made = run(add_partition(table, day));
    const bool may_wait = !made && is_ahead && made.error().sqlstate == kLockNotAvailable;
    if (!made && made.error().is_temporary() && !may_wait) {
      return made;
    }
    if (!made && !is_made_at_once(made.error())) {
      // Not the rows' fault: they go where those without a partition go.
      log(LogLevel::kWarn,
          "postgres.no_partition",
          {{"partition", partition}, {"reason", made.error().message}});
    }
  }
  partitions_.insert(std::move(known));
  return {};
}

PostgresResult<void> BoundPostgresWriter::add_partitions(
    const std::string& table, const PostgresSeries& series, std::int64_t now_ms
) {
  if (partitions_.size() > kPartitionsMax) {
    partitions_.clear();
  }
  for (const std::int64_t time_ms : series.times_ms) {
    bool is_ahead = false;
    for (const std::int64_t day : days_for(time_ms, now_ms)) {
      if (auto added = add_partition_of(table, day, is_ahead); !added) {
        return added;
      }
      is_ahead = true;
    }
  }
  return {};
}

PostgresResult<void> BoundPostgresWriter::add_writes(const Record& record, PostgresWrites& writes) {
  Result<PostgresForm> form = form_of_(record);
  if (!form) {
    return refuse(form.error().message());
  }
  if (!form->create.empty()) {
    auto table = ensure_table_of(*form);
    if (!table) {
      return tl::unexpected(std::move(table).error());
    }
    if (form->series && *table != nullptr) {
      add_position(**table, *form);
      if ((*table)->is_by_day) {
        auto added = add_partitions(form->fields[1], *form->series, record.received_ms);
        if (!added) {
          return added;
        }
      }
    }
  }
  Record changed;
  changed.fields = std::move(form->fields);
  changed.payload = form->payload ? *std::move(form->payload) : record.payload;
  changed.delivery_id = record.delivery_id;
  changed.received_ms = record.received_ms;
  auto added = PostgresWriter::add_writes(changed, writes);
  for (Action::Fields& fields : form->more) {
    if (!added) {
      break;
    }
    changed.fields = std::move(fields);
    added = PostgresWriter::add_writes(changed, writes);
  }
  return added;
}

}  // namespace iotcore::rules::actions
