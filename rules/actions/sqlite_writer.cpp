#include "rules/actions/sqlite_writer.h"

#include "rules/actions/bound_statement.h"

#include <boost/json/monotonic_resource.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

namespace iotcore::rules::actions {
namespace {

// A table of ours grows no wider, whatever devices send.
constexpr std::size_t kColumnsMax = 200;
constexpr std::size_t kInsertsMax = 128;

tl::unexpected<SqliteError> refuse(std::string message) {
  return tl::unexpected(SqliteError{SQLITE_MISMATCH, std::move(message)});
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) {
    return static_cast<char>(std::tolower(c));
  });
  return out;
}

std::string_view column_type(const json::value& value) {
  switch (value.kind()) {
    case json::kind::bool_:
    case json::kind::int64:
    case json::kind::uint64:
      return "INTEGER";
    case json::kind::double_:
      return "REAL";
    case json::kind::string:
    case json::kind::array:
    case json::kind::object:
      return "TEXT";
    case json::kind::null:
      break;
  }
  return "";
}

// `text` keeps what is bound until the statement has run.
void bind_value(
    SqliteStatement& statement, int at, const json::value& value, std::vector<std::string>& text
) {
  switch (value.kind()) {
    case json::kind::null:
      statement.bind_null(at);
      break;
    case json::kind::bool_:
      statement.bind(at, std::int64_t{value.get_bool() ? 1 : 0});
      break;
    case json::kind::int64:
      statement.bind(at, value.get_int64());
      break;
    case json::kind::uint64:
      statement.bind(at, static_cast<double>(value.get_uint64()));
      break;
    case json::kind::double_:
      statement.bind(at, value.get_double());
      break;
    case json::kind::string:
      statement.bind(at, std::string_view(value.get_string()));
      break;
    case json::kind::array:
    case json::kind::object:
      statement.bind(at, text.emplace_back(to_json(value)));
      break;
  }
}

// A template's text as what it was: a number if it is written as numbers are.
void bind_text(SqliteStatement& statement, int at, std::string_view text) {
  if (text.empty()) {
    statement.bind_null(at);
    return;
  }
  std::int64_t whole = 0;
  const char* end = text.data() + text.size();
  if (const auto [at_end, error] = std::from_chars(text.data(), end, whole);
      error == std::errc() && at_end == end && fmt::to_string(whole) == text) {
    statement.bind(at, whole);
    return;
  }
  double number = 0;
  if (const auto [at_end, error] = std::from_chars(text.data(), end, number);
      error == std::errc() && at_end == end && to_json(json::value(number)) == text) {
    statement.bind(at, number);
    return;
  }
  statement.bind(at, text);
}

SqliteResult<void> run_to_end(SqliteStatement& statement) {
  for (;;) {
    auto row = statement.step();
    if (!row) {
      SqliteError error = std::move(row).error();
      statement.reset();
      return tl::unexpected(std::move(error));
    }
    if (!*row) {
      statement.reset();
      return {};
    }
  }
}

}  // namespace

void SqliteWriter::forget() {
  tables_.clear();
  inserts_.clear();
  shapes_.clear();
}

SqliteResult<void> SqliteWriter::ensure_open() {
  if (database_ && database_->is_current()) {
    return {};
  }
  forget();
  database_.reset();
  auto opened = SqliteDatabase::open(path_);
  if (!opened) {
    return tl::unexpected(std::move(opened).error());
  }
  database_ = std::move(*opened);
  auto ready = database_->run(
      "CREATE TABLE IF NOT EXISTS _iotcore_delivered(outbox TEXT PRIMARY KEY, sequences TEXT NOT "
      "NULL);"
      "CREATE TABLE IF NOT EXISTS _iotcore_tables(name TEXT PRIMARY KEY COLLATE NOCASE)"
  );
  if (ready) {
    ready = read_delivered();
  }
  if (!ready) {
    database_.reset();
  }
  return ready;
}

SqliteResult<void> SqliteWriter::read_delivered() {
  delivered_ = {};
  auto statement = database_->prepare("SELECT sequences FROM _iotcore_delivered WHERE outbox = ?1");
  if (!statement) {
    return tl::unexpected(std::move(statement).error());
  }
  (*statement)->bind(1, outbox_id_);
  auto row = (*statement)->step();
  if (!row) {
    return tl::unexpected(std::move(row).error());
  }
  if (*row) {
    delivered_ = sequence_set_from((*statement)->text(0));
  }
  (*statement)->reset();
  return {};
}

SqliteResult<void> SqliteWriter::write_delivered() {
  delivered_.keep_highest();
  const std::string text = to_text(delivered_);
  auto statement = database_->prepare(
      "INSERT INTO _iotcore_delivered(outbox, sequences) VALUES (?1, ?2) "
      "ON CONFLICT(outbox) DO UPDATE SET sequences = excluded.sequences"
  );
  if (!statement) {
    return tl::unexpected(std::move(statement).error());
  }
  (*statement)->bind(1, outbox_id_);
  (*statement)->bind(2, text);
  return run_to_end(**statement);
}

Status SqliteWriter::probe() {
  auto usable = ensure_open();
  if (usable) {
    usable = database_->run("BEGIN IMMEDIATE; ROLLBACK");
  }
  if (!usable) {
    return fail(Errc::kUnavailable, usable.error().message);
  }
  return {};
}

void SqliteWriter::deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) {
  auto written = ensure_open();
  if (written) {
    const SequenceSet before = delivered_;
    written = write_batch(batch, outcomes);
    if (!written) {
      delivered_ = before;
      if (database_->in_transaction()) {
        // A failed rollback leaves nothing either; the next batch opens the database anew.
        static_cast<void>(database_->run("ROLLBACK"));
      }
      forget();
      database_->forget_statements();
      if (database_->in_transaction()) {
        database_.reset();
      }
    }
  }
  if (written) {
    return;
  }
  // The transaction is gone as a whole, also for records that went well.
  for (Outcome& outcome : outcomes) {
    if (outcome.kind == Outcome::Kind::kDelivered) {
      outcome = Outcome::retry(written.error().message);
    }
  }
}

SqliteResult<void> SqliteWriter::write_batch(
    std::span<const Record* const> batch, std::span<Outcome> outcomes
) {
  if (auto begun = database_->run("BEGIN IMMEDIATE"); !begun) {
    return begun;
  }
  bool any_durable = false;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const Record& record = *batch[i];
    if (record.is_durable() && delivered_.contains(record.sequence)) {
      continue;  // before a crash that came too early for us to know
    }
    auto written = write(record);
    if (!written) {
      if (written.error().is_temporary() || !database_->in_transaction()) {
        return written;
      }
      outcomes[i] = Outcome::permanent(written.error().message);
      continue;
    }
    if (!database_->in_transaction()) {
      return refuse("a statement has ended the transaction");
    }
    if (record.is_durable()) {
      delivered_.add(record.sequence);
      any_durable = true;
    }
  }
  if (any_durable) {
    if (auto noted = write_delivered(); !noted) {
      return noted;
    }
  }
  return database_->run("COMMIT");
}

SqliteResult<void> SqliteWriter::write(const Record& record) {
  if (record.fields.size() < 2) {
    return refuse("not a record of this kind");
  }
  if (record.fields[0] == kStatementMode) {
    return run_statement(record);
  }
  const ResultShape* known = find_shape(record);
  if (known != nullptr) {
    auto written = write_quickly(*known);
    if (!written) {
      return tl::unexpected(std::move(written).error());
    }
    if (*written) {
      return {};
    }
  }
  boost::json::monotonic_resource memory;
  Result<json::value> row = parse_json(record.payload, {}, &memory);
  if (!row || !row->is_object()) {
    return refuse("the result is not an object, so it has no columns");
  }
  auto written = write_row(record.fields[1], row->get_object());
  if (!written) {
    return tl::unexpected(std::move(written).error());
  }
  if (known == nullptr) {
    ResultShape shape{record.fields[1], {}, *std::move(written)};
    for (const auto& member : row->get_object()) {
      shape.members.emplace_back(member.key());
    }
    shapes_.add(std::move(shape));
  }
  return {};
}

const SqliteWriter::ResultShape* SqliteWriter::find_shape(const Record& record) {
  if (shapes_.empty() || !tape_.parse(record.payload) ||
      tape_.root().kind != sql::JsonKind::kObject) {
    return nullptr;
  }
  return shapes_.find(record.fields[1], tape_);
}

SqliteResult<bool> SqliteWriter::write_quickly(const ResultShape& shape) {
  auto statement = database_->prepare(shape.insert);
  if (!statement) {
    return tl::unexpected(std::move(statement).error());
  }
  texts_.clear();
  std::uint32_t at = 1;
  for (int i = 1; i <= static_cast<int>(shape.members.size()); ++i) {
    if (!bind_node(**statement, i, at + 1)) {
      return false;
    }
    at = tape_.node(at + 1).next;
  }
  if (auto done = run_to_end(**statement); !done) {
    return tl::unexpected(std::move(done).error());
  }
  return true;
}

bool SqliteWriter::bind_node(SqliteStatement& statement, int at, std::uint32_t node) {
  constexpr std::size_t kDigitsMax = 18;  // of what is in 64 bits for sure
  const sql::JsonTape::Node& value = tape_.node(node);
  const std::string_view raw = tape_.raw(value);
  const char* const end = raw.data() + raw.size();
  switch (value.kind) {
    case sql::JsonKind::kNull:
      statement.bind_null(at);
      return true;
    case sql::JsonKind::kTrue:
    case sql::JsonKind::kFalse:
      statement.bind(at, std::int64_t{value.kind == sql::JsonKind::kTrue ? 1 : 0});
      return true;
    case sql::JsonKind::kNumber: {
      double number = 0;
      std::int64_t whole = 0;
      if (value.traits != 0 || raw.size() > kDigitsMax) {
        return false;
      }
      if (raw.find('.') != std::string_view::npos) {
        std::from_chars(raw.data(), end, number);
        statement.bind(at, number);
      } else {
        std::from_chars(raw.data(), end, whole);
        statement.bind(at, whole);
      }
      return true;
    }
    case sql::JsonKind::kString:
      if (raw.find('\\') == std::string_view::npos) {
        statement.bind(at, raw);
      } else {
        sql::append_unescaped(raw, texts_.emplace_back());
        statement.bind(at, texts_.back());
      }
      return true;
    case sql::JsonKind::kArray:
    case sql::JsonKind::kObject:
      if (value.traits != 0) {
        return false;
      }
      statement.bind(at, raw);
      return true;
  }
  return false;
}

SqliteResult<void> SqliteWriter::run_statement(const Record& record) {
  auto statement = database_->prepare(record.fields[1]);
  if (!statement) {
    return tl::unexpected(std::move(statement).error());
  }
  for (std::size_t i = 2; i < record.fields.size(); ++i) {
    bind_text(**statement, static_cast<int>(i - 1), record.fields[i]);
  }
  return run_to_end(**statement);
}

SqliteResult<std::string> SqliteWriter::write_row(
    const std::string& table, const json::object& row
) {
  std::string key = table;
  for (const auto& member : row) {
    key.push_back('\0');
    key.append(member.key());
  }
  auto insert = inserts_.find(key);
  if (insert == inserts_.end()) {
    if (auto ready = ensure_columns(table, row); !ready) {
      return tl::unexpected(std::move(ready).error());
    }
    std::string columns;
    std::string values;
    for (const auto& member : row) {
      columns += (columns.empty() ? "" : ", ") + sqlite_quoted(member.key());
      values += values.empty() ? "?" : ", ?";
    }
    const std::string into = "INSERT INTO " + sqlite_quoted(table);
    if (inserts_.size() >= kInsertsMax) {
      inserts_.clear();
    }
    insert = inserts_
                 .emplace(
                     std::move(key),
                     row.empty() ? into + " DEFAULT VALUES"
                                 : into + "(" + columns + ") VALUES (" + values + ")"
                 )
                 .first;
  }
  auto statement = database_->prepare(insert->second);
  if (!statement) {
    return tl::unexpected(std::move(statement).error());
  }
  std::vector<std::string> text;
  text.reserve(row.size());
  int at = 0;
  for (const auto& member : row) {
    bind_value(**statement, ++at, member.value(), text);
  }
  if (auto done = run_to_end(**statement); !done) {
    return tl::unexpected(std::move(done).error());
  }
  return insert->second;
}

SqliteResult<SqliteWriter::Table*> SqliteWriter::find_table(const std::string& name) {
  if (const auto found = tables_.find(lower(name)); found != tables_.end()) {
    return &found->second;
  }
  Table table;
  auto columns = database_->prepare("SELECT name FROM pragma_table_info(?1)");
  if (!columns) {
    return tl::unexpected(std::move(columns).error());
  }
  (*columns)->bind(1, name);
  for (;;) {
    auto row = (*columns)->step();
    if (!row) {
      return tl::unexpected(std::move(row).error());
    }
    if (!*row) {
      break;
    }
    table.columns.insert(lower((*columns)->text(0)));
  }
  (*columns)->reset();
  if (table.columns.empty()) {
    return nullptr;
  }
  auto ours = database_->prepare("SELECT 1 FROM _iotcore_tables WHERE name = ?1");
  if (!ours) {
    return tl::unexpected(std::move(ours).error());
  }
  (*ours)->bind(1, name);
  auto row = (*ours)->step();
  if (!row) {
    return tl::unexpected(std::move(row).error());
  }
  table.is_ours = *row;
  (*ours)->reset();
  return &tables_.emplace(lower(name), std::move(table)).first->second;
}

SqliteResult<void> SqliteWriter::create_table(const std::string& name, const json::object& row) {
  if (row.empty() || row.size() > kColumnsMax) {
    return refuse(fmt::format("a table of {} columns cannot be made", row.size()));
  }
  std::string columns;
  for (const auto& member : row) {
    columns += fmt::format(
        "{}{} {}",
        columns.empty() ? "" : ", ",
        sqlite_quoted(member.key()),
        column_type(member.value())
    );
  }
  if (auto made = database_->run("CREATE TABLE " + sqlite_quoted(name) + "(" + columns + ")");
      !made) {
    return made;
  }
  auto note = database_->prepare("INSERT OR IGNORE INTO _iotcore_tables(name) VALUES (?1)");
  if (!note) {
    return tl::unexpected(std::move(note).error());
  }
  (*note)->bind(1, name);
  return run_to_end(**note);
}

SqliteResult<void> SqliteWriter::ensure_columns(const std::string& name, const json::object& row) {
  auto found = find_table(name);
  if (!found) {
    return tl::unexpected(std::move(found).error());
  }
  Table* table = *found;
  if (table == nullptr) {
    return create_table(name, row);
  }
  for (const auto& member : row) {
    const std::string column = lower(member.key());
    if (table->columns.contains(column)) {
      continue;
    }
    if (!table->is_ours) {
      return refuse(fmt::format("table {} has no column {}", name, std::string_view(member.key())));
    }
    if (table->columns.size() >= kColumnsMax) {
      return refuse(fmt::format("table {} has {} columns already", name, kColumnsMax));
    }
    auto added = database_->run(fmt::format(
        "ALTER TABLE {} ADD COLUMN {} {}",
        sqlite_quoted(name),
        sqlite_quoted(member.key()),
        column_type(member.value())
    ));
    if (!added) {
      return added;
    }
    table->columns.insert(column);
  }
  return {};
}

}  // namespace iotcore::rules::actions
