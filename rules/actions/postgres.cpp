#include "rules/actions/postgres.h"

#include "rules/actions/bound_statement.h"
#include "rules/actions/postgres_row.h"
#include "rules/actions/postgres_sink.h"
#include "rules/bindings.h"
#include "rules/member_reader.h"

#include <boost/json/monotonic_resource.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace iotcore::rules::actions {
namespace {

constexpr std::string_view kOurs = "_iotcore_";
constexpr std::size_t kColumnsMax = 1600;  // PostgreSQL's own
constexpr char kSeparator = '\n';

// The first field of a record: what the others are.
constexpr std::string_view kTableMode = "table";      // table, conflict, columns to take
constexpr std::string_view kColumnsMode = "columns";  // table, conflict, columns, a value each

// What `conflict` may be besides the key's columns.
constexpr std::string_view kIgnore = "ignore";
constexpr std::string_view kPrimaryKey = "primary key";

std::vector<std::string> split_names(std::string_view joined) {
  std::vector<std::string> names;
  while (!joined.empty()) {
    const std::size_t end = joined.find(kSeparator);
    names.emplace_back(joined.substr(0, end));
    joined.remove_prefix(end == std::string_view::npos ? joined.size() : end + 1);
  }
  return names;
}

std::string joined_names(const std::vector<std::string>& names) {
  return fmt::format("{}", fmt::join(names, std::string(1, kSeparator)));
}

PostgresResult<std::vector<PostgresWrite>> refuse(std::string message) {
  return tl::unexpected(PostgresError{"22000", std::move(message), 0});
}

class RowAction final : public Action {
 public:
  struct Column {
    std::string name;
    sql::Template value;
  };

  RowAction(
      std::string target,
      sql::Template table,
      std::string conflict,
      std::string picked,
      std::vector<Column> columns
  )
      : target_(std::move(target)),
        table_(std::move(table)),
        conflict_(std::move(conflict)),
        picked_(std::move(picked)),
        columns_(std::move(columns)) {}

  std::string target() const override { return target_; }

  std::string resource(const Fields& fields) const override { return target_ + "/" + fields[1]; }

  Result<Fields> resolve(const ActionInput& input) const override {
    IOTCORE_ASSIGN(std::string table, input.evaluation.render(table_));
    if (table.empty()) {
      return fail(Errc::kInvalidRequest, "the name of the table is empty");
    }
    if (table.find(kOurs) != std::string::npos) {
      return fail(Errc::kInvalidRequest, "tables that begin with _iotcore_ are the server's");
    }
    const std::string_view mode = columns_.empty() ? kTableMode : kColumnsMode;
    Fields fields{std::string(mode), std::move(table), conflict_, picked_};
    for (const Column& column : columns_) {
      IOTCORE_ASSIGN(fields.emplace_back(), input.evaluation.render(column.value));
    }
    return fields;
  }

 private:
  std::string target_;
  sql::Template table_;
  std::string conflict_;
  std::string picked_;  // names of columns
  std::vector<Column> columns_;
};

// A row on its way: columns as the table has them.
struct Row {
  std::vector<std::string> columns;
  std::vector<PostgresValue> values;

  void add(std::string column, PostgresValue value) {
    columns.push_back(std::move(column));
    values.push_back(std::move(value));
  }
};

class PostgresWriter : public PostgresSink {
 public:
  using PostgresSink::PostgresSink;

 protected:
  PostgresResult<std::vector<PostgresWrite>> writes_of(const Record& record) override {
    if (!record.fields.empty() && record.fields[0] == kStatementMode && record.fields.size() >= 2) {
      PostgresWrite write;
      write.sql = record.fields[1];
      for (std::size_t i = 2; i < record.fields.size(); ++i) {
        const std::string& text = record.fields[i];
        write.values.push_back(text.empty() ? PostgresValue() : PostgresValue(text));
      }
      return std::vector{std::move(write)};
    }
    if (record.fields.size() < 4) {
      return refuse("not a record of this kind");
    }
    auto table = ensure_table(record.fields[1]);
    if (!table) {
      return tl::unexpected(std::move(table).error());
    }
    auto row = record.fields[0] == kColumnsMode ? row_of_columns(**table, record)
                                                : row_of_result(**table, record);
    if (!row && row.error().sqlstate == "42703") {  // somebody may have added the column
      table = find_table(record.fields[1], true);
      if (!table || *table == nullptr) {
        return refuse(row.error().message);
      }
      row = record.fields[0] == kColumnsMode ? row_of_columns(**table, record)
                                             : row_of_result(**table, record);
    }
    if (!row) {
      return tl::unexpected(std::move(row).error());
    }
    add_ours(**table, record, *row);
    return write_of(**table, record, *std::move(row));
  }

 private:
  PostgresResult<const PostgresTable*> ensure_table(const std::string& name) {
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

  static tl::unexpected<PostgresError> no_column(const Record& record, std::string_view column) {
    return tl::unexpected(PostgresError{
        "42703", fmt::format("table {} has no column {}", record.fields[1], column), 0});
  }

  static PostgresResult<Row> row_of_result(const PostgresTable& table, const Record& record) {
    boost::json::monotonic_resource memory;
    const Result<json::value> result = parse_json(record.payload, {}, &memory);
    const auto* const payload = find_column(table, "payload");
    const bool takes_all = payload != nullptr && is_json_column(payload->second);
    Row row;
    if (!result) {
      return tl::unexpected(PostgresError{"22000", "the result is not JSON", 0});
    }
    if (!result->is_object() && !takes_all) {
      return tl::unexpected(PostgresError{
          "22000", "the result is not an object, so it has no columns", 0});
    }
    const std::vector<std::string> picked = split_names(record.fields[3]);
    if (result->is_object()) {
      const json::object& members = result->get_object();
      for (const auto& member : members) {
        const std::string_view name = member.key();
        if (!picked.empty() && std::ranges::find(picked, name) == picked.end()) {
          continue;
        }
        const auto* const column = find_column(table, name);
        if (column == nullptr && takes_all) {
          row = Row();
          row.add(payload->first, to_json(*result));
          return row;
        }
        if (column == nullptr) {
          return no_column(record, name);
        }
        row.add(column->first, to_postgres(member.value(), column->second));
      }
      return row;
    }
    row.add(payload->first, to_json(*result));
    return row;
  }

  static PostgresResult<Row> row_of_columns(const PostgresTable& table, const Record& record) {
    Row row;
    const std::vector<std::string> names = split_names(record.fields[3]);
    if (names.size() + 4 != record.fields.size()) {
      return tl::unexpected(PostgresError{"22000", "not a record of this kind", 0});
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

  // Columns that the result has nothing for, and we have.
  static void add_ours(const PostgresTable& table, const Record& record, Row& row) {
    const auto add = [&](std::string_view name, std::string value) {
      if (table.columns.contains(name) &&
          std::ranges::find(row.columns, name) == row.columns.end()) {
        row.add(std::string(name), std::move(value));
      }
    };
    add("delivery_id", record.delivery_id);
    add("received_at", postgres_time(record.received_ms));
  }

  static PostgresResult<std::vector<PostgresWrite>> write_of(
      const PostgresTable& table, const Record& record, Row row
  ) {
    PostgresWrite write;
    write.table = postgres_quoted_table(record.fields[1]);
    for (const std::string& column : row.columns) {
      write.columns += (write.columns.empty() ? "" : ", ") + postgres_quoted(column);
    }
    write.values = std::move(row.values);
    std::string conflict = record.fields[2];
    if (conflict == kPrimaryKey) {
      conflict = key_within(table, row.columns);
    }
    if (!conflict.empty()) {
      write.sql = upsert(write, row.columns, conflict);
    } else if (write.values.empty()) {
      write.sql = "INSERT INTO " + write.table + " DEFAULT VALUES";
    }
    return std::vector{std::move(write)};
  }

  // The columns of the primary key, if they are all among these.
  static std::string key_within(
      const PostgresTable& table, const std::vector<std::string>& columns
  ) {
    std::vector<std::string> key;
    for (const auto& [name, column] : table.columns) {
      if (column.is_key && std::ranges::find(columns, name) == columns.end()) {
        return {};
      }
      if (column.is_key) {
        key.push_back(name);
      }
    }
    return joined_names(key);
  }

  static std::string upsert(
      const PostgresWrite& write,
      const std::vector<std::string>& columns,
      const std::string& conflict
  ) {
    std::string values;
    for (std::size_t i = 1; i <= write.values.size(); ++i) {
      values += fmt::format("{}${}", i == 1 ? "" : ", ", i);
    }
    const std::string insert =
        write.values.empty()
            ? "INSERT INTO " + write.table + " DEFAULT VALUES"
            : fmt::format("INSERT INTO {}({}) VALUES ({})", write.table, write.columns, values);
    if (conflict == kIgnore) {
      return insert + " ON CONFLICT DO NOTHING";
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
        "{} ON CONFLICT ({}) DO {}",
        insert,
        quoted_keys,
        sets.empty() ? "NOTHING" : "UPDATE SET " + sets
    );
  }
};

// Of records that another action has made.
class BoundWriter final : public PostgresWriter {
 public:
  BoundWriter(TargetRef target, const Targets& targets, std::string id, PostgresFormOf form_of)
      : PostgresWriter(std::move(target), targets, std::move(id)), form_of_(form_of) {}

 private:
  PostgresResult<std::vector<PostgresWrite>> writes_of(const Record& record) override {
    Result<PostgresForm> form = form_of_(record);
    if (!form) {
      return refuse(form.error().message());
    }
    if (!form->create.empty()) {
      auto found = find_table(form->fields[1], false);
      if (found && *found == nullptr) {
        if (auto made = run(form->create); !made) {
          return tl::unexpected(std::move(made).error());
        }
        found = find_table(form->fields[1], true);
      }
      if (!found) {
        return tl::unexpected(std::move(found).error());
      }
    }
    Record changed;
    changed.fields = std::move(form->fields);
    changed.payload = form->payload ? *std::move(form->payload) : record.payload;
    changed.delivery_id = record.delivery_id;
    changed.received_ms = record.received_ms;
    return PostgresWriter::writes_of(changed);
  }

  const PostgresFormOf form_of_;
};

std::vector<std::string> read_names(MemberReader& members, std::string_view name) {
  std::vector<std::string> names;
  const json::array* list = members.optional_array(name);
  if (list == nullptr) {
    return names;
  }
  for (const json::value& each : *list) {
    if (!each.is_string() || each.get_string().empty() ||
        each.get_string().find(kSeparator) != json::string::npos) {
      members.fail_member(name, "must be a list of names of columns");
      return {};
    }
    names.emplace_back(each.get_string());
  }
  if (names.empty() || names.size() > kColumnsMax) {
    members.fail_member(name, fmt::format("must have 1 to {} names", kColumnsMax));
  }
  return names;
}

std::string read_conflict(MemberReader& members, const json::value* given) {
  if (given != nullptr && given->is_array()) {
    return joined_names(read_names(members, "onConflict"));
  }
  const std::string text = members.optional_text("onConflict").value_or(std::string());
  if (given != nullptr && text != kIgnore) {
    members.fail_member("onConflict", "must be 'ignore' or the list of the key's columns");
  }
  return text;
}

// Those of a map; of a list, only the names.
std::vector<RowAction::Column> read_columns(
    MemberReader& members, const json::value* given, std::string& names
) {
  std::vector<RowAction::Column> columns;
  if (given == nullptr) {
    return columns;
  }
  if (given->is_array()) {
    names = joined_names(read_names(members, "columns"));
    return columns;
  }
  const json::object* map = members.optional_object("columns");
  if (map == nullptr || map->empty() || map->size() > kColumnsMax) {
    members.fail_member("columns", "must be a list of names, or a map of names and templates");
    return columns;
  }
  MemberReader inner = members.inner(*map, members.pointer_to("columns"));
  std::vector<std::string> all;
  for (const auto& column : *map) {
    std::optional<sql::Template> value = inner.optional_template(column.key());
    if (!value || std::string_view(column.key()).find(kSeparator) != std::string_view::npos) {
      inner.fail_member(column.key(), "must be a string");
      break;
    }
    all.emplace_back(column.key());
    columns.push_back({all.back(), *std::move(value)});
  }
  members.take_error(inner);
  names = joined_names(all);
  return columns;
}

// Whether it would end the transaction of its batch.
bool ends_transactions(std::string_view statement) {
  std::string word;
  for (const char c : statement) {
    if (std::isalpha(static_cast<unsigned char>(c)) != 0) {
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    } else if (!word.empty() || std::isspace(static_cast<unsigned char>(c)) == 0) {
      break;
    }
  }
  static constexpr auto kWords = std::to_array<std::string_view>(
      {"abort", "begin", "commit", "copy", "end", "release", "rollback", "savepoint", "start"}
  );
  return std::ranges::find(kWords, word) != kWords.end();
}

}  // namespace

ParsedAction Postgres::parse(MemberReader& members, const SinkEnvironment& environment) {
  const TargetRef target = read_target(members, "target", kName, environment);
  std::optional<sql::Template> table = members.optional_template("table");
  BoundStatement statement = bind_parameters("statement", '$', members);
  std::string names;
  std::vector<RowAction::Column> columns =
      read_columns(members, members.optional_value("columns"), names);
  std::string conflict = read_conflict(members, members.optional_value("onConflict"));
  if (table.has_value() == members.has("statement")) {
    members.fail_at(members.pointer(), "needs one of table and statement");
  }
  if (table && table->text().empty()) {
    members.fail_member("table", "must not be empty");
  }
  if (members.has("statement")) {
    if (statement.sql.empty()) {
      members.fail_member("statement", "must not be empty");
    }
    if (ends_transactions(statement.sql)) {
      members.fail_member(
          "statement", "a batch is one transaction: transactions and COPY can't be used"
      );
    }
    for (const std::string_view name : {"columns", "onConflict"}) {
      if (members.has(name)) {
        members.fail_member(name, "goes with table; write it into the statement");
      }
    }
  }
  if (members.failed()) {
    return nullptr;
  }
  if (!table) {
    return std::make_unique<StatementAction>(target->name, std::move(statement));
  }
  return std::make_unique<RowAction>(
      target->name, *std::move(table), std::move(conflict), std::move(names), std::move(columns)
  );
}

Result<std::unique_ptr<Sink>> Postgres::make_sink(
    std::string_view target, const SinkEnvironment& environment
) {
  IOTCORE_ASSIGN(TargetRef found, target_of_sink(target, environment));
  std::string id = fmt::format("{}/postgres {}", environment.outbox_id, found->name);
  return std::make_unique<PostgresWriter>(std::move(found), *environment.targets, std::move(id));
}

Action::Fields postgres_payload_row(std::string table, bool upsert) {
  return {
      std::string(kTableMode),
      std::move(table),
      std::string(upsert ? kPrimaryKey : ""),
      std::string()};
}

Action::Fields postgres_row(
    std::string table,
    const std::vector<std::string>& key,
    const std::vector<std::string>& columns,
    std::vector<std::string> values
) {
  Action::Fields fields{
      std::string(kColumnsMode), std::move(table), joined_names(key), joined_names(columns)};
  for (std::string& value : values) {
    fields.push_back(std::move(value));
  }
  return fields;
}

Action::Fields postgres_statement(std::string statement, std::vector<std::string> parameters) {
  Action::Fields fields{std::string(kStatementMode), std::move(statement)};
  for (std::string& parameter : parameters) {
    fields.push_back(std::move(parameter));
  }
  return fields;
}

Result<std::unique_ptr<Sink>> make_postgres_sink(
    std::string_view kind,
    const TargetRef& target,
    const SinkEnvironment& environment,
    PostgresFormOf form_of
) {
  if (target->kind != Postgres::kName) {
    return fail(
        Errc::kNotImplemented,
        fmt::format("{} has no way to targets of kind {}", kind, target->kind)
    );
  }
  std::string id = fmt::format("{}/{} {}", environment.outbox_id, kind, target->name);
  return std::make_unique<BoundWriter>(target, *environment.targets, std::move(id), form_of);
}

}  // namespace iotcore::rules::actions
