#include "broker/turn_batch.h"

#include "broker/worker_broker.h"
#include "broker/worker_sessions.h"
#include "store/store.h"

#include <chrono>

namespace iotcore::broker {

// What waits for one commit.
struct TurnBatch::Committing {
  std::vector<PendingAck::Hold> waits;
  std::vector<CommitMark> marks;
  std::vector<ExactlyOnce::Part> foreign;
  std::vector<Function<void()>> after;

  bool empty() const { return waits.empty() && marks.empty() && foreign.empty() && after.empty(); }
};

store::Batch& TurnBatch::durable_rows(PendingAck::Hold waits) {
  if (waits) {
    waits_.push_back(std::move(waits));
  }
  return rows_;
}

void TurnBatch::add(ExactlyOnce& publish) {
  for (ExactlyOnce::Part& part : publish.parts()) {
    rows_.append(part.rows);
    if (part.worker == worker_.id()) {
      marks_.insert(marks_.end(), part.marks.begin(), part.marks.end());
    } else if (!part.marks.empty()) {
      foreign_.push_back({part.worker, store::Batch(), std::move(part.marks)});
    }
  }
  durable_rows(std::move(publish.publisher));
}

void TurnBatch::erase_ghost(store::Table table, std::string_view key) {
  ghosts_.add(table, key, number_);
  if (!std::exchange(ghosts_scheduled_, true)) {
    commit_ghosts_later();
  }
}

// Where nothing else is written, they still have to go before a crash.
void TurnBatch::commit_ghosts_later() {
  constexpr auto kRetry = std::chrono::seconds(1);
  worker_.timers().schedule(worker_.now() + kRetry, [this] {
    ghosts_scheduled_ = !ghosts_.empty();
    if (ghosts_scheduled_) {
      after_commit([] {});
      commit_ghosts_later();
    }
  });
}

void TurnBatch::commit() {
  if (rows_.empty() && waits_.empty() && marks_.empty() && after_.empty()) {
    return;
  }
  const std::uint64_t number = number_++;
  if (!ghosts_.empty()) [[unlikely]] {
    rows_ = ghosts_.before(rows_);
    after_commit([] {});  // so that it is known whether they are gone
  }
  Committing committing{
      std::exchange(waits_, {}),
      std::exchange(marks_, {}),
      std::exchange(foreign_, {}),
      std::exchange(after_, {})};
  store::Store& store = worker_.shared().store();
  if (committing.empty()) {
    store.commit(std::exchange(rows_, store::Batch()), nullptr, nullptr);
    return;
  }
  if (rows_.empty() && committing.after.empty()) {
    on_committed(committing, std::nullopt);
    return;
  }
  // With nothing to write it is still done after what was handed in before.
  store.commit(
      std::exchange(rows_, store::Batch()),
      &worker_.executor(),
      [this, number, committing = std::move(committing)](Result<store::Revision> committed
      ) mutable {
        if (committed && !ghosts_.empty()) [[unlikely]] {
          ghosts_.on_committed(number);
        }
        on_committed(
            committing, committed ? std::nullopt : std::optional(committed.error().code())
        );
      }
  );
}

void TurnBatch::on_committed(Committing& committing, std::optional<Errc> failure) {
  for (PendingAck::Hold& wait : committing.waits) {
    if (failure) {
      wait.fail(*failure);
    }
    wait.release();
  }
  worker_.sessions().on_committed(committing.marks, !failure);
  Workers& workers = worker_.shared().workers();
  for (ExactlyOnce::Part& part : committing.foreign) {
    WorkerBroker& owner = workers.broker(part.worker);
    workers.executor(part.worker).post([&owner, marks = std::move(part.marks), failure] {
      owner.sessions().on_committed(marks, !failure);
    });
  }
  for (Function<void()>& then : committing.after) {
    then();
  }
}

}  // namespace iotcore::broker
