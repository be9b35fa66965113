#include "rules/actions/postgres_sink.h"

#include "base/log.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace iotcore::rules::actions {
namespace {

// Fewer rows are not worth the round trips of a COPY.
constexpr std::size_t kCopyRowsMin = 8;
// Gaps in what was delivered are rare and short-lived; forgetting an old one could at worst repeat a record.
constexpr std::size_t kDeliveredRangesMax = 256;
constexpr std::size_t kTablesMax = 1000;

constexpr std::string_view kNoPrivilege = "42501";
constexpr std::string_view kDivisionByZero = "22012";

void append_copy_value(std::string& out, const PostgresValue& value) {
  if (!value) {
    out += "\\N";
    return;
  }
  for (const char c : *value) {
    switch (c) {
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        out += c;
    }
  }
}

}  // namespace

void PostgresSink::forget() {
  tables_.clear();
  looked_up_.clear();
}

PostgresResult<void> PostgresSink::run(const std::string& sql) {
  if (auto done = connection_->run(sql); !done) {
    return tl::unexpected(std::move(done).error());
  }
  return {};
}

PostgresResult<void> PostgresSink::ensure_open() {
  if (connection_ && connection_->is_usable()) {
    return {};
  }
  forget();
  connection_.reset();
  const Result<PostgresOptions> options = open_target(*target_, targets_, read_postgres);
  if (!options) {
    return tl::unexpected(PostgresError{"", options.error().message(), 0});
  }
  auto opened = PostgresConnection::open(*options);
  if (!opened) {
    // Also a wrong password or a database that is not there: whoever runs it may mend that.
    return tl::unexpected(PostgresError{"", std::move(opened).error().message, 0});
  }
  connection_ = std::move(*opened);
  keeps_delivered_ = options->exactly_once;
  auto ready = keeps_delivered_ ? prepare_delivered() : PostgresResult<void>();
  if (!ready) {
    connection_.reset();
  }
  return ready;
}

PostgresResult<void> PostgresSink::prepare_delivered() {
  auto made =
      run("CREATE TABLE IF NOT EXISTS _iotcore_delivered"
          "(sink text PRIMARY KEY, version bigint NOT NULL, sequences text NOT NULL)");
  if (!made && made.error().sqlstate == kNoPrivilege) {
    // It may have been made for us.
    auto there = connection_->query("SELECT to_regclass('_iotcore_delivered')", {});
    if (there && (there->empty() || !there->front()[0])) {
      log(LogLevel::kWarn,
          "postgres.at_least_once",
          {{"target", target_->name},
           {"reason", "the role may not create _iotcore_delivered; rows may repeat after a crash"}}
      );
      keeps_delivered_ = false;
      return {};
    }
  } else if (!made && made.error().sqlstate != "23505") {  // two made it at once
    return made;
  }
  auto row = connection_->query(
      "INSERT INTO _iotcore_delivered VALUES ($1, 0, '') ON CONFLICT DO NOTHING", {id_}
  );
  if (!row) {
    return tl::unexpected(std::move(row).error());
  }
  return read_delivered();
}

PostgresResult<void> PostgresSink::read_delivered() {
  // Whoever still works for an earlier connection of ours is waited for, or comes too late.
  auto row = connection_->query(
      "UPDATE _iotcore_delivered SET version = version + 1 WHERE sink = $1 "
      "RETURNING version, sequences",
      {id_}
  );
  if (!row) {
    return tl::unexpected(std::move(row).error());
  }
  if (row->empty()) {
    return tl::unexpected(PostgresError{"", "_iotcore_delivered has lost its row", 0});
  }
  const std::string version = row->front()[0].value_or("0");
  std::from_chars(version.data(), version.data() + version.size(), version_);
  delivered_ = sequence_set_from(row->front()[1].value_or(""));
  return {};
}

std::string PostgresSink::begin() const {
  if (!keeps_delivered_) {
    return "BEGIN";
  }
  return fmt::format(
      "BEGIN; SELECT 1 / (version = {})::int FROM _iotcore_delivered WHERE sink = {} FOR UPDATE",
      version_,
      postgres_literal(id_)
  );
}

std::string PostgresSink::commit(const SequenceSet& delivered) const {
  if (!keeps_delivered_) {
    return "COMMIT";
  }
  return fmt::format(
      "UPDATE _iotcore_delivered SET sequences = {} WHERE sink = {}; COMMIT",
      postgres_literal(to_text(delivered)),
      postgres_literal(id_)
  );
}

Status PostgresSink::probe() {
  auto usable = ensure_open();
  if (usable) {
    usable = run("SELECT 1");
  }
  if (!usable) {
    connection_.reset();
    return fail(Errc::kUnavailable, usable.error().message);
  }
  return {};
}

void PostgresSink::deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) {
  looked_up_.clear();
  settled_.assign(batch.size(), false);
  auto written = ensure_open();
  if (written) {
    written = write(batch, outcomes);
  }
  if (written) {
    return;
  }
  connection_.reset();  // in an unknown state it is worth nothing
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (!settled_[i]) {
      outcomes[i] = Outcome::retry(written.error().message);
    }
  }
}

PostgresResult<void> PostgresSink::write(
    std::span<const Record* const> batch, std::span<Outcome> outcomes
) {
  std::vector<Item> items;
  items.reserve(batch.size());
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const Record& record = *batch[i];
    if (keeps_delivered_ && record.is_durable() && delivered_.contains(record.sequence)) {
      settled_[i] = true;  // before a crash that came too early for us to know
      continue;
    }
    auto writes = writes_of(record);
    if (writes) {
      items.push_back({i, *std::move(writes)});
    } else if (writes.error().is_temporary()) {
      return tl::unexpected(std::move(writes).error());
    } else {
      outcomes[i] = Outcome::permanent(std::move(writes).error().message);
      settled_[i] = true;
    }
  }
  return write_items(items, batch, outcomes);
}

PostgresResult<void> PostgresSink::write_items(
    std::span<const Item> items, std::span<const Record* const> batch, std::span<Outcome> outcomes
) {
  while (!items.empty()) {
    const bool by_copy =
        items.size() >= kCopyRowsMin && std::ranges::all_of(items, [](const Item& item) {
          return item.writes.size() == 1 && item.writes[0].is_append();
        });
    auto written = transact(items, batch, by_copy);
    if (!written && by_copy && !written.error().is_temporary()) {
      written = transact(items, batch, false);  // which tells the row
    }
    std::size_t count = items.size();
    if (!written) {
      if (written.error().is_temporary()) {
        return written;
      }
      // The rows before it are well, so they are a transaction of their own.
      count = written.error().at;
      if (count > 0) {
        if (auto before = transact(items.first(count), batch, false); !before) {
          return tl::unexpected(PostgresError{"", std::move(before).error().message, 0});
        }
      }
      outcomes[items[count].record] = Outcome::permanent(written.error().message);
      settled_[items[count].record] = true;
    }
    for (const Item& item : items.first(count)) {
      settled_[item.record] = true;
    }
    items = items.subspan(written ? count : count + 1);
  }
  return {};
}

PostgresResult<void> PostgresSink::begin_alone() {
  auto begun = run(begin());
  if (!begun && begun.error().sqlstate == kDivisionByZero) {
    // Somebody has read the row since: what it says has to be read again.
    return tl::unexpected(PostgresError{"", "another connection writes for this sink", 0});
  }
  return begun;
}

PostgresResult<void> PostgresSink::transact(
    std::span<const Item> items, std::span<const Record* const> batch, bool by_copy
) {
  SequenceSet delivered = delivered_;
  for (const Item& item : items) {
    if (batch[item.record]->is_durable()) {
      delivered.add(batch[item.record]->sequence);
    }
  }
  while (delivered.range_count() > kDeliveredRangesMax) {
    delivered.erase_front();
  }
  auto done = by_copy ? copy_all(items) : begin_alone();
  if (done && !by_copy) {
    done = run_all(items);
  }
  if (done && !connection_->in_transaction()) {
    done = tl::unexpected(PostgresError{"25000", "a statement has ended the transaction", 0});
  }
  if (done) {
    done = run(commit(delivered));
    if (!done && !done.error().is_temporary() && items.size() > 1) {
      // A deferred constraint, which does not say whose row it was: the queue finds out by sending them one by one.
      done.error().sqlstate.clear();
    }
  }
  if (done) {
    delivered_ = std::move(delivered);
    return done;
  }
  tables_.clear();
  if (connection_->is_usable() && connection_->in_transaction()) {
    if (auto undone = run("ROLLBACK"); !undone) {
      return undone;
    }
  }
  return done;
}

PostgresResult<void> PostgresSink::copy_all(std::span<const Item> items) {
  // In order of each table's first row. Rows of several tables change places here, which nobody can see but a foreign key; what fails so is done
  // again in order.
  std::vector<std::pair<std::string, std::string>> copies;  // statement and data
  std::map<std::string, std::size_t, std::less<>> places;
  for (const Item& item : items) {
    const PostgresWrite& row = item.writes[0];
    const std::string into = row.table + "(" + row.columns + ")";
    auto [place, is_new] = places.emplace(into, copies.size());
    if (is_new) {
      copies.emplace_back("COPY " + into + " FROM STDIN", "");
    }
    std::string& data = copies[place->second].second;
    bool first = true;
    for (const PostgresValue& value : row.values) {
      data += first ? "" : "\t";
      first = false;
      append_copy_value(data, value);
    }
    data += '\n';
  }
  bool first = true;
  for (const auto& [statement, data] : copies) {
    if (auto done = connection_->copy(first ? begin() + "; " + statement : statement, data);
        !done) {
      return done;
    }
    first = false;
  }
  return {};
}

PostgresResult<void> PostgresSink::run_all(std::span<const Item> items) {
  std::vector<std::size_t> item_of;  // each statement's
  for (std::size_t i = 0; i < items.size(); ++i) {
    for (const PostgresWrite& write : items[i].writes) {
      item_of.push_back(i);
      if (!write.is_append()) {
        connection_->queue(write.sql, write.values);
        continue;
      }
      std::string values;
      for (std::size_t at = 1; at <= write.values.size(); ++at) {
        values += fmt::format("{}${}", at == 1 ? "" : ", ", at);
      }
      connection_->queue(
          write.values.empty()
              ? "INSERT INTO " + write.table + " DEFAULT VALUES"
              : fmt::format("INSERT INTO {}({}) VALUES ({})", write.table, write.columns, values),
          write.values
      );
    }
  }
  auto done = connection_->run_queue();
  if (!done && done.error().at < item_of.size()) {
    done.error().at = item_of[done.error().at];
  }
  return done;
}

PostgresResult<const PostgresTable*> PostgresSink::find_table(const std::string& name, bool fresh) {
  const bool again = fresh && !looked_up_[name];
  if (const auto found = tables_.find(name); found != tables_.end() && !again) {
    return &found->second;
  }
  looked_up_[name] = true;
  auto rows = connection_->query(
      "SELECT a.attname, t.typname, t.typcategory, EXISTS(SELECT 1 FROM pg_index i WHERE "
      "i.indrelid "
      "= a.attrelid AND i.indisprimary AND a.attnum = ANY(i.indkey)) FROM pg_attribute a JOIN "
      "pg_type t ON t.oid = "
      "a.atttypid WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped AND "
      "a.attgenerated = '' AND a.attidentity <> 'a'",
      {postgres_quoted_table(name)}
  );
  if (!rows) {
    return tl::unexpected(std::move(rows).error());
  }
  if (rows->empty()) {
    tables_.erase(name);
    return nullptr;
  }
  PostgresTable table;
  for (const std::vector<PostgresValue>& row : *rows) {
    table.columns[row[0].value_or("")] = {
        row[1].value_or(""), row[3].value_or("f") == "t", row[2].value_or("S")[0]};
  }
  if (tables_.size() >= kTablesMax) {
    tables_.clear();
  }
  return &tables_.insert_or_assign(name, std::move(table)).first->second;
}

}  // namespace iotcore::rules::actions
