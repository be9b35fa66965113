#include "rules/actions/postgres.h"

#include "rules/actions/bound_statement.h"
#include "rules/actions/postgres_writer.h"
#include "rules/bindings.h"
#include "rules/member_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace iotcore::rules::actions {
namespace {

constexpr std::string_view kOurs = "_iotcore_";
constexpr std::size_t kColumnsMax = 1600;  // PostgreSQL's own

// What a row is overwritten by: the values of these columns, in fields or in the payload.
std::string key_of_row(
    const std::vector<std::string>& key, const Action::Fields& fields, std::string_view payload
) {
  constexpr std::size_t kFirstValue = 4;
  const std::vector<std::string> columns = split_names(fields[3]);
  json::value result;
  if (!key.empty() && fields.size() == kFirstValue) {
    result = parse_json(payload).value_or(nullptr);
  }
  std::string joined;
  for (const std::string& name : key) {
    const auto column = std::ranges::find(columns, name);
    const auto at = kFirstValue + static_cast<std::size_t>(column - columns.begin());
    if (column != columns.end() && at < fields.size()) {
      joined += fields[at];
    } else if (const json::object* object = result.if_object(); object != nullptr) {
      const json::value* value = find_member(*object, name);
      joined += value == nullptr ? "" : to_json(*value);
    }
    joined += kNamesSeparator;
  }
  return joined;
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

  std::string order_key(const Fields& fields, std::string_view payload) const override {
    return conflict_ == kPostgresIgnore ? std::string()
                                        : key_of_row(split_names(conflict_), fields, payload);
  }

  Result<Fields> resolve(const ActionInput& input) const override {
    IOTCORE_ASSIGN(std::string table, input.evaluation.render(table_));
    if (table.empty()) {
      return fail(Errc::kInvalidRequest, "the name of the table is empty");
    }
    if (table.find(kOurs) != std::string::npos) {
      return fail(Errc::kInvalidRequest, "tables that begin with _iotcore_ are the server's");
    }
    const std::string_view mode = columns_.empty() ? kPostgresTableMode : kPostgresColumnsMode;
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

std::vector<std::string> read_names(MemberReader& members, std::string_view name) {
  std::vector<std::string> names;
  const json::array* list = members.optional_array(name);
  if (list == nullptr) {
    return names;
  }
  for (const json::value& each : *list) {
    if (!each.is_string() || each.get_string().empty() ||
        each.get_string().find(kNamesSeparator) != json::string::npos) {
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
  if (given != nullptr && text != kPostgresIgnore) {
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
    if (!value || std::string_view(column.key()).find(kNamesSeparator) != std::string_view::npos) {
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
      std::string(kPostgresTableMode),
      std::move(table),
      std::string(upsert ? kPostgresPrimaryKey : ""),
      std::string()};
}

Action::Fields postgres_row(
    std::string table,
    const std::vector<std::string>& key,
    const std::vector<std::string>& columns,
    std::vector<std::string> values
) {
  Action::Fields fields{
      std::string(kPostgresColumnsMode),
      std::move(table),
      joined_names(key),
      joined_names(columns)};
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
  return std::make_unique<BoundPostgresWriter>(
      target, *environment.targets, std::move(id), form_of
  );
}

}  // namespace iotcore::rules::actions
