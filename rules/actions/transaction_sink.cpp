#include "rules/actions/transaction_sink.h"

namespace iotcore::rules::actions {

SqliteResult<void> TransactionSink::ensure_open() {
  if (database_ && database_->is_current()) {
    return {};
  }
  database_.reset();
  auto opened = SqliteDatabase::open(file_);
  if (!opened) {
    return tl::unexpected(std::move(opened).error());
  }
  if (auto ready = (*opened)->run(schema_); !ready) {
    return ready;
  }
  database_ = std::move(*opened);
  return {};
}

SqliteResult<void> TransactionSink::write_batch(
    std::span<const Record* const> batch, std::span<Outcome> outcomes
) {
  if (auto begun = database_->run("BEGIN IMMEDIATE"); !begun) {
    return begun;
  }
  for (std::size_t i = 0; i < batch.size(); ++i) {
    auto written = write_(*database_, *batch[i]);
    if (written) {
      continue;
    }
    if (written.error().is_temporary() || !database_->in_transaction()) {
      return written;
    }
    outcomes[i] = Outcome::permanent(written.error().message);
  }
  return database_->run("COMMIT");
}

Status TransactionSink::probe() {
  auto usable = ensure_open();
  if (usable) {
    usable = database_->run("BEGIN IMMEDIATE; ROLLBACK");
  }
  return usable ? Status() : fail(Errc::kUnavailable, usable.error().message);
}

void TransactionSink::deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) {
  auto written = ensure_open();
  if (written) {
    written = write_batch(batch, outcomes);
    if (!written) {
      database_.reset();  // which rolls back
    }
  }
  if (written) {
    return;
  }
  for (Outcome& outcome : outcomes) {
    if (outcome.kind == Outcome::Kind::kDelivered) {
      outcome = Outcome::retry(written.error().message);
    }
  }
}

}  // namespace iotcore::rules::actions
