#include "store/fault_store.h"

#include <utility>

namespace iotcore::store {

void FaultStore::break_writes(Error error) {
  const std::lock_guard lock(mutex_);
  failure_ = std::move(error);
}

void FaultStore::break_reads(Error error) {
  const std::lock_guard lock(mutex_);
  read_failure_ = std::move(error);
}

void FaultStore::mend() {
  const std::lock_guard lock(mutex_);
  failure_.reset();
  read_failure_.reset();
}

void FaultStore::hold() {
  const std::lock_guard lock(mutex_);
  holding_ = true;
}

void FaultStore::release() {
  std::vector<Held> held;
  {
    const std::lock_guard lock(mutex_);
    holding_ = false;
    held.swap(held_);
  }
  for (Held& commit_held : held) {
    commit(std::move(commit_held.batch), commit_held.on, std::move(commit_held.done));
  }
}

std::size_t FaultStore::held() const {
  const std::lock_guard lock(mutex_);
  return held_.size();
}

Result<std::vector<Entry>> FaultStore::scan(
    Table table, std::string_view prefix, std::string_view from, std::size_t limit
) {
  {
    const std::lock_guard lock(mutex_);
    if (read_failure_) {
      return fail(Error(*read_failure_));
    }
  }
  return inner().scan(table, prefix, from, limit);
}

void FaultStore::commit(Batch batch, Executor* on, CommitDone done) {
  std::optional<Error> failure;
  {
    const std::lock_guard lock(mutex_);
    if (holding_) {
      held_.push_back({std::move(batch), on, std::move(done)});
      return;
    }
    failure = failure_;
    failures_ += failure ? 1 : 0;
  }
  if (!failure) {
    inner().commit(std::move(batch), on, std::move(done));
  } else if (done && on == nullptr) {
    done(fail(std::move(*failure)));
  } else if (done) {
    on->post([error = std::move(*failure), done = std::move(done)]() mutable {
      done(fail(std::move(error)));
    });
  }
}

Health FaultStore::health() const {
  Health health = inner().health();
  const std::lock_guard lock(mutex_);
  if (failure_) {
    health.failure = failure_;
  }
  health.queued_batches += held_.size();
  return health;
}

}  // namespace iotcore::store
