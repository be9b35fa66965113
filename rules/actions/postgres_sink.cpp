#include "rules/actions/postgres_sink.h"

#include "base/log.h"
#include "rules/actions/postgres_row_groups.h"
#include "rules/actions/postgres_series.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

namespace iotcore::rules::actions {
namespace {

// Fewer rows are not worth the round trips of a COPY, or the planning of a statement for all.
constexpr std::size_t kRowsMin = 8;
// Statements may take their time, and a transaction's time is bounded.
constexpr std::size_t kPipelineMax = 500;
// Of rows among which a statement for all has found one that is wrong.
constexpr std::size_t kPipelineOfRowsMax = 64;
constexpr std::size_t kNarrowing = 8;
constexpr std::size_t kSomewhere = std::numeric_limits<std::size_t>::max();
constexpr std::size_t kTablesMax = 1000;

constexpr std::string_view kNoPrivilege = "42501";
constexpr std::string_view kDivisionByZero = "22012";

}  // namespace

void PostgresSink::forget_tables() {
  tables_.clear();
  ++tables_version_;
}

PostgresResult<void> PostgresSink::run(const std::string& sql) {
  if (auto done = connection_->run(sql); !done) {
    return tl::unexpected(std::move(done).error());
  }
  return {};
}

PostgresResult<PostgresRows> PostgresSink::query(
    const std::string& sql, std::vector<PostgresValue> parameters
) {
  return connection_->query(sql, std::move(parameters));
}

PostgresResult<void> PostgresSink::ensure_open() {
  if (connection_ && connection_->is_usable()) {
    return {};
  }
  forget_tables();
  looked_up_.clear();
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
  writes_.clear();
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const Record& record = *batch[i];
    if (keeps_delivered_ && record.is_durable() && delivered_.contains(record.sequence)) {
      settled_[i] = true;  // before a crash that came too early for us to know
      continue;
    }
    writes_.begin();
    auto added = add_writes(record, writes_);
    if (added && writes_.has_zero()) {
      outcomes[i] = Outcome::permanent("a text has the character U+0000, which PostgreSQL refuses");
      settled_[i] = true;
    } else if (added) {
      writes_.end(i);
    } else if (added.error().is_temporary()) {
      return added;
    } else {
      outcomes[i] = Outcome::permanent(std::move(added).error().message);
      settled_[i] = true;
    }
  }
  writes_.begin();
  return write_items(batch, outcomes);
}

PostgresResult<void> PostgresSink::write_items(
    std::span<const Record* const> batch, std::span<Outcome> outcomes
) {
  Items items = writes_.items();
  std::size_t limit = items.size();
  while (!items.empty()) {
    auto done = write_some(items, batch, outcomes, limit);
    if (!done) {
      return tl::unexpected(std::move(done).error());
    }
    items = items.subspan(*done);
  }
  return {};
}

PostgresSink::Way PostgresSink::way_of(Items& items, std::size_t limit) const {
  items = items.first(std::min(limit, items.size()));
  const auto first_other =
      std::ranges::find_if(items, [this](const auto& item) { return !writes_.are_rows(item); });
  const auto rows = static_cast<std::size_t>(first_other - items.begin());
  if (rows < kRowsMin) {
    items = items.first(std::min(kPipelineMax, items.size()));
    return Way::kPipeline;
  }
  items = items.first(rows);
  const bool all_appended =
      std::ranges::all_of(items, [this](const auto& item) { return writes_.are_appended(item); });
  return all_appended ? Way::kCopy : Way::kArrays;
}

PostgresResult<std::size_t> PostgresSink::write_some(
    Items items,
    std::span<const Record* const> batch,
    std::span<Outcome> outcomes,
    std::size_t& limit
) {
  const Way way = way_of(items, limit);
  auto written = transact(items, batch, way);
  if (!written && !written.error().is_temporary() && way != Way::kPipeline) {
    if (items.size() > kPipelineOfRowsMax) {
      limit = std::max(kPipelineOfRowsMax, items.size() / kNarrowing);
      return 0;  // again, with fewer of them
    }
    written = transact(items, batch, Way::kPipeline);  // which tells the row
  }
  std::size_t well = items.size();
  if (!written) {
    if (written.error().is_temporary()) {
      return tl::unexpected(std::move(written).error());
    }
    if (written.error().at == kSomewhere && items.size() > 1) {
      limit = std::max<std::size_t>(1, items.size() / kNarrowing);
      return 0;
    }
    // The rows before it are well, so they are a transaction of their own.
    well = written.error().at == kSomewhere ? 0 : written.error().at;
    if (well > 0) {
      if (auto before = transact(items.first(well), batch, Way::kPipeline); !before) {
        return tl::unexpected(PostgresError{"", std::move(before).error().message, 0});
      }
    }
    outcomes[items[well].record] = Outcome::permanent(written.error().message);
    settled_[items[well].record] = true;
  } else {
    limit = std::max(limit, items.size() * 2);  // where there was one, others may be near
  }
  for (const PostgresWrites::Item& item : items.first(well)) {
    settled_[item.record] = true;
  }
  return written ? well : well + 1;
}

PostgresResult<void> PostgresSink::transact(
    Items items, std::span<const Record* const> batch, Way way
) {
  SequenceSet delivered = delivered_;
  SequenceRange range;  // sequences mostly follow one another
  for (const PostgresWrites::Item& item : items) {
    const std::uint64_t sequence = batch[item.record]->sequence;
    if (sequence == 0) {
      continue;  // not durable
    }
    if (sequence != range.end) {
      delivered.add(range);
      range.first = sequence;
    }
    range.end = sequence + 1;
  }
  delivered.add(range);
  delivered.keep_highest();
  auto done = way == Way::kCopy     ? copy_all(items, delivered)
              : way == Way::kArrays ? insert_all(items, delivered)
                                    : run_all(items, delivered);
  if (done) {
    delivered_ = std::move(delivered);
    return done;
  }
  forget_tables();
  if (connection_->is_usable() && connection_->in_transaction()) {
    if (auto undone = run("ROLLBACK"); !undone) {
      return undone;
    }
  }
  return done;
}

PostgresResult<void> PostgresSink::copy_all(Items items, const SequenceSet& delivered) {
  // In order of each table's first row. Rows of several tables change places here, which nobody can see but a foreign key; what fails so is done
  // again in order.
  std::vector<const PostgresShape*> shapes;
  for (const PostgresWrites::Item& item : items) {
    for (const PostgresWrites::Write& row : writes_.writes_of(item)) {
      const PostgresShape* shape = row.shape.get();
      if (shapes.empty() ||
          (shape != shapes.back() && std::ranges::find(shapes, shape) == shapes.end())) {
        shapes.push_back(shape);
      }
    }
  }
  std::string sql = begin();
  for (const PostgresShape* shape : shapes) {
    sql += "; COPY " + shape->into + " FROM STDIN";
  }
  sql += "; " + commit(delivered);
  if (shapes.size() == 1) {
    const std::string_view all = writes_.text(
        writes_.writes_of(items.front()).front(), writes_.writes_of(items.back()).back()
    );
    return connection_->copy(sql, {&all, 1});
  }
  std::vector<std::string> sorted(shapes.size());
  for (const PostgresWrites::Item& item : items) {
    for (const PostgresWrites::Write& row : writes_.writes_of(item)) {
      const auto place = std::ranges::find(shapes, row.shape.get()) - shapes.begin();
      sorted[static_cast<std::size_t>(place)] += writes_.text(row);
    }
  }
  return connection_->copy(sql, std::vector<std::string_view>(sorted.begin(), sorted.end()));
}

PostgresResult<void> PostgresSink::run_begin() {
  auto begun = run(begin());
  if (begun) {
    return begun;
  }
  // Somebody has read the row since: what it says has to be read again.
  return begun.error().sqlstate == kDivisionByZero
             ? tl::unexpected(PostgresError{"", "another connection writes for this sink", 0})
             : begun;
}

PostgresResult<void> PostgresSink::insert_all(Items items, const SequenceSet& delivered) {
  if (auto begun = run_begin(); !begun) {
    return begun;
  }
  PostgresRowGroups rows;
  for (const PostgresWrites::Item& item : items) {
    for (const PostgresWrites::Write& row : writes_.writes_of(item)) {
      rows.add(*row.shape, writes_.text(row));
    }
  }
  for (const PostgresRowGroups::Group& group : rows.groups()) {
    connection_->queue(group.shape->insert_all(), array_parameters(group));
  }
  if (auto done = connection_->run_queue(); !done) {
    return done;
  }
  return run(commit(delivered));
}

PostgresResult<void> PostgresSink::run_all(Items items, const SequenceSet& delivered) {
  if (auto begun = run_begin(); !begun) {
    return begun;
  }
  std::vector<std::size_t> item_of;  // each statement's
  for (std::size_t i = 0; i < items.size(); ++i) {
    for (const PostgresWrites::Write& write : writes_.writes_of(items[i])) {
      item_of.push_back(i);
      PostgresStatement statement = writes_.statement(write);
      connection_->queue(statement.sql, std::move(statement.values));
    }
  }
  auto done = connection_->run_queue();
  if (!done) {
    done.error().at = done.error().at < item_of.size() ? item_of[done.error().at] : kSomewhere;
    return done;
  }
  if (!connection_->in_transaction()) {
    return tl::unexpected(PostgresError{
        "25000", "a statement has ended the transaction", kSomewhere});
  }
  done = run(commit(delivered));
  if (!done) {
    done.error().at = kSomewhere;  // a deferred constraint does not say whose row it was
  }
  return done;
}

PostgresResult<const PostgresTable*> PostgresSink::find_table(const std::string& name, bool fresh) {
  const bool again = fresh && !looked_up_[name];
  if (const auto found = tables_.find(name); found != tables_.end() && !again) {
    return &found->second;
  }
  looked_up_[name] = true;
  ++tables_version_;
  auto rows = connection_->query(
      "SELECT a.attname, t.typname, t.typcategory, EXISTS(SELECT 1 FROM pg_index i WHERE "
      "i.indrelid "
      "= a.attrelid AND i.indisprimary AND a.attnum = ANY(i.indkey)), "
      "format_type(a.atttypid, -1), obj_description(a.attrelid, 'pg_class') = $2 FROM pg_attribute "
      "a JOIN "
      "pg_type t ON t.oid = "
      "a.atttypid WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped AND "
      "a.attgenerated = '' AND a.attidentity <> 'a'",
      {postgres_quoted_table(name), std::string(kPostgresByDay)}
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
        row[1].value_or(""),
        row[3].value_or("f") == "t",
        row[2].value_or("S")[0],
        row[4].value_or("text")};
    table.is_by_day = row[5].value_or("f") == "t";
  }
  if (tables_.size() >= kTablesMax) {
    tables_.clear();
  }
  return &tables_.insert_or_assign(name, std::move(table)).first->second;
}

}  // namespace iotcore::rules::actions
