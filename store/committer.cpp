#include "store/committer.h"

#include "base/log.h"
#include "store/expectation.h"
#include "store/group_overlay.h"

#include <algorithm>
#include <pthread.h>
#include <utility>

namespace iotcore::store {
namespace {

struct Completion {
  CommitDone done;
  Result<Revision> result;
};

// The completions of a group, sorted by where they go. There are few executors: one a worker.
class Completions {
 public:
  void add(Executor* on, CommitDone done, Result<Revision> result) {
    if (!done) {
      return;
    }
    auto lane =
        std::find_if(lanes_.begin(), lanes_.end(), [&](const Lane& l) { return l.on == on; });
    if (lane == lanes_.end()) {
      lanes_.push_back({on, {}});
      lane = std::prev(lanes_.end());
    }
    lane->completions.push_back({std::move(done), std::move(result)});
  }

  void deliver() {
    for (Lane& lane : lanes_) {
      auto run = [completions = std::move(lane.completions)]() mutable {
        for (Completion& completion : completions) {
          completion.done(std::move(completion.result));
        }
      };
      if (lane.on == nullptr) {
        run();
      } else {
        lane.on->post(std::move(run));
      }
    }
  }

 private:
  struct Lane {
    Executor* on;
    std::vector<Completion> completions;
  };

  std::vector<Lane> lanes_;
};

void complete(Executor* on, CommitDone done, Result<Revision> result) {
  Completions completions;
  completions.add(on, std::move(done), std::move(result));
  completions.deliver();
}

}  // namespace

Committer::Committer(GroupWriter& writer, WatchList& watches, CommitterOptions options)
    : writer_(writer),
      watches_(watches),
      options_(options),
      last_revision_(writer.last_revision()) {
  if (Metrics* metrics = options_.metrics; metrics != nullptr) {
    cells_ = {
        &metrics->counter("iotcore_store_groups_total", "Groups of commits written"),
        &metrics->counter("iotcore_store_commits_total", "Batches committed"),
        &metrics->counter(
            "iotcore_store_conflicts_total", "Batches refused by a broken expectation"
        ),
        &metrics->histogram(
            "iotcore_store_write_seconds", "Time to write one group, with its fsync"
        )};
  }
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), "store-commit");
}

Committer::~Committer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wakeup_.notify_one();
  thread_.join();
}

void Committer::submit(Batch batch, Executor* on, CommitDone done) {
  std::optional<Error> refusal;
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    if (failure_) {
      refusal = failure_;
    } else if (queued_bytes_ + batch.size_bytes() > options_.queue_bytes_max && !queue_.empty()) {
      refusal = Error(Errc::kServerBusy, "the store has more to write than it may queue");
    } else {
      queued_bytes_ += batch.size_bytes();
      queue_.push_back({std::move(batch), on, std::move(done)});
      wake = std::exchange(asleep_, false);
    }
  }
  if (wake) {
    wakeup_.notify_one();
  }
  if (refusal) {
    failures_.fetch_add(1, std::memory_order_release);
    complete(on, std::move(done), fail(std::move(*refusal)));
  }
}

Health Committer::health() const {
  const std::lock_guard lock(mutex_);
  return {failure_, queue_.size(), queued_bytes_};
}

void Committer::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wait_for_work(lock);
    if (queue_.empty() && stopping_) {
      return;
    }
    if (queue_.empty()) {
      lock.unlock();
      try_to_recover();
    } else {
      std::vector<Pending> group = take_group();
      lock.unlock();
      process(std::move(group));
    }
    lock.lock();
  }
}

// Returns with work in the queue, or when it is time to stop or to try to recover.
void Committer::wait_for_work(std::unique_lock<std::mutex>& lock) {
  asleep_ = queue_.empty();
  const auto awake = [this] { return !queue_.empty() || stopping_; };
  if (failure_ && failure_->code() != Errc::kStoreCorrupt) {
    wakeup_.wait_for(lock, options_.retry_interval, awake);
  } else {
    wakeup_.wait(lock, awake);
  }
  asleep_ = false;
  if (options_.linger.count() > 0 && !stopping_) {
    wakeup_.wait_for(lock, options_.linger, [this] { return stopping_; });
  }
}

std::vector<Committer::Pending> Committer::take_group() {
  std::vector<Pending> group;
  if (queued_bytes_ <= options_.group_bytes_max) {
    queued_bytes_ = 0;
    group.swap(queue_);
    queue_.reserve(group.size());
    return group;
  }
  std::size_t bytes = 0;
  auto end = queue_.begin();
  do {
    bytes += end->batch.size_bytes();
    ++end;
  } while (end != queue_.end() && bytes + end->batch.size_bytes() <= options_.group_bytes_max);
  group.assign(std::move_iterator(queue_.begin()), std::move_iterator(end));
  queue_.erase(queue_.begin(), end);
  queued_bytes_ -= bytes;
  return group;
}

void Committer::process(std::vector<Pending> group) {
  std::vector<AcceptedView> accepted;
  std::vector<Result<Revision>> results;
  accepted.reserve(group.size());
  results.reserve(group.size());
  admit(group, accepted, results);
  if (!accepted.empty()) {
    const bool awaited = std::any_of(group.begin(), group.end(), [](const Pending& pending) {
      return static_cast<bool>(pending.done);
    });
    if (const Status written = write(accepted, awaited && options_.sync); !written) {
      std::fill(results.begin(), results.end(), fail(written.error()));
    }
  }
  Completions completions;
  for (std::size_t i = 0; i < group.size(); ++i) {
    completions.add(group[i].on, std::move(group[i].done), std::move(results[i]));
  }
  completions.deliver();
}

// Gives every batch whose expectations hold a revision, as if those accepted before it were written
// already.
void Committer::admit(
    std::span<const Pending> group,
    std::vector<AcceptedView>& accepted,
    std::vector<Result<Revision>>& results
) {
  GroupOverlay overlay;
  std::size_t overlaid = 0;
  Revision revision = last_revision_;
  const auto revision_of = [&](Table table,
                               std::string_view key) -> Result<std::optional<Revision>> {
    // Only expectations need the overlay, and building it costs.
    for (; overlaid < accepted.size(); ++overlaid) {
      overlay.add(*accepted[overlaid].batch, accepted[overlaid].revision);
    }
    if (const auto effect = overlay.find(table, key)) {
      return effect->revision;
    }
    return writer_.revision_of(table, key);
  };
  for (const Pending& pending : group) {
    if (failed_) {
      results.emplace_back(fail(*failed_));
    } else if (const Status expected = check_expectations(pending.batch, revision_of); !expected) {
      results.emplace_back(fail(expected.error()));
      if (expected.error().code() != Errc::kRevisionConflict) {
        failures_.fetch_add(1, std::memory_order_release);
      } else if (cells_.conflicts != nullptr) {
        cells_.conflicts->add();
      }
    } else {
      if (pending.batch.writes() != 0) {
        revision = Revision(number(revision) + 1);
        accepted.push_back({&pending.batch, revision});
      }
      results.emplace_back(revision);
    }
  }
}

Status Committer::write(std::span<const AcceptedView> accepted, bool sync) {
  const auto start = std::chrono::steady_clock::now();
  Status written = writer_.write(accepted, sync);
  if (cells_.write_s != nullptr) {
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    cells_.write_s->observe(took.count());
    cells_.groups->add();
    cells_.batches->add(accepted.size());
  }
  if (written) {
    last_revision_ = accepted.back().revision;
    watches_.notify(accepted);
  } else {
    set_failure(written.error());
  }
  return written;
}

void Committer::try_to_recover() {
  const Status recovered = writer_.recover();
  if (!recovered) {
    set_failure(recovered.error());
    return;
  }
  last_revision_ = std::max(last_revision_, writer_.last_revision());
  set_failure(std::nullopt);
}

void Committer::set_failure(std::optional<Error> failure) {
  if (!failure) {
    log(LogLevel::kInfo, "store.recovered");
  } else if (!failed_ || failed_->message() != failure->message()) {
    log(LogLevel::kError, "store.failed", {{"error", failure->message()}});
  }
  failed_ = failure;
  const std::uint64_t risen = failure ? 1 : 0;
  {
    const std::lock_guard lock(mutex_);
    failure_ = std::move(failure);
  }
  // Last: who has seen the number of failures rise sees why, too, until the store has recovered.
  failures_.fetch_add(risen, std::memory_order_release);
}

}  // namespace iotcore::store
