#include "rules/actions/sqlite.h"

#include "rules/actions/bound_statement.h"
#include "rules/actions/sqlite_writer.h"
#include "rules/member_reader.h"
#include "rules/sink_path.h"

#include <fmt/format.h>

namespace iotcore::rules::actions {
namespace {

constexpr std::string_view kOurs = "_iotcore_";

class TableAction final : public Action {
 public:
  TableAction(std::string file, sql::Template table)
      : file_(std::move(file)), table_(std::move(table)) {}

  std::string target() const override { return file_; }

  std::string resource(const Fields& fields) const override { return file_ + "/" + fields[1]; }

  Result<Fields> resolve(const ActionInput& input) const override {
    IOTCORE_ASSIGN(std::string table, input.evaluation.render(table_));
    if (table.empty()) {
      return fail(Errc::kInvalidRequest, "the name of the table is empty");
    }
    if (table.starts_with(kOurs)) {
      return fail(Errc::kInvalidRequest, "tables that begin with _iotcore_ are the server's");
    }
    return Fields{std::string(kTableMode), std::move(table)};
  }

 private:
  std::string file_;
  sql::Template table_;
};

}  // namespace

ParsedAction Sqlite::parse(MemberReader& members, const SinkEnvironment& environment) {
  const std::string file = members.text("file");
  std::string checked;
  if (!file.empty()) {
    Result<std::string> path = check_sink_path(file, environment);
    if (path) {
      checked = std::move(*path);
    } else {
      members.fail_member("file", path.error().message());
    }
  }
  std::optional<sql::Template> table = members.optional_template("table");
  members.refuse("columns", "is not supported yet; name them in the SELECT or write a statement");
  if (table.has_value() == members.has("statement") && !members.failed()) {
    members.fail_at(members.pointer(), "needs one of table and statement");
  }
  if (table && table->text().empty()) {
    members.fail_member("table", "must not be empty");
  }
  if (table && table->is_literal() && table->text().starts_with(kOurs)) {
    members.fail_member("table", "tables that begin with _iotcore_ are the server's");
  }
  BoundStatement bound = bind_parameters("statement", '?', members);
  if (members.failed()) {
    return nullptr;
  }
  if (table) {
    return std::make_unique<TableAction>(std::move(checked), std::move(*table));
  }
  return std::make_unique<StatementAction>(std::move(checked), std::move(bound));
}

Result<std::unique_ptr<Sink>> Sqlite::make_sink(
    std::string_view target, const SinkEnvironment& environment
) {
  return std::make_unique<SqliteWriter>(
      resolve_sink_path(target, environment), environment.outbox_id
  );
}

}  // namespace iotcore::rules::actions
