#pragma once

#include "base/executor.h"
#include "base/metrics.h"
#include "base/result.h"
#include "store/batch.h"
#include "store/store.h"
#include "store/watch_list.h"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

namespace iotcore::store {

// What a committer writes with. Called on the committer's thread only, and once on the thread that
// makes the committer.
class GroupWriter {
 public:
  virtual ~GroupWriter() = default;

  virtual Result<std::optional<Revision>> revision_of(Table table, std::string_view key) = 0;
  // All of them or, after a crash too, a leading part of them; with `sync`, returns when they
  // cannot be lost.
  virtual Status write(std::span<const AcceptedView> group, bool sync) = 0;
  // After a failed write: makes writing possible again, with every acknowledged write in place.
  virtual Status recover() = 0;
  // Not below that of any row.
  virtual Revision last_revision() = 0;
};

struct CommitterOptions {
  bool sync = true;
  // How long a group waits for more once there is something to write. The previous group's fsync
  // gathers the next one well enough; a linger trades latency for fewer fsyncs where those are the
  // scarce thing.
  std::chrono::microseconds linger{0};
  std::size_t queue_bytes_max = 64U << 20;
  std::size_t group_bytes_max = 4U << 20;
  std::chrono::milliseconds retry_interval{1000};
  Metrics* metrics = nullptr;
};

// Group commit. Whatever is queued while one group is being written forms the next; a group is one
// write and one fsync, its completions one post per executor. A failed write fails its group and
// every commit after it, until the writer has recovered, which is tried every retry_interval.
class Committer {
 public:
  // The writer and the watches outlive the committer.
  Committer(GroupWriter& writer, WatchList& watches, CommitterOptions options);
  // Commits what is queued.
  ~Committer();
  Committer(const Committer&) = delete;
  Committer& operator=(const Committer&) = delete;

  // As Store::commit.
  void submit(Batch batch, Executor* on, CommitDone done);
  Health health() const;
  // As Store::failures.
  std::uint64_t failures() const { return failures_.load(std::memory_order_acquire); }

 private:
  struct Pending {
    Batch batch;
    Executor* on;
    CommitDone done;
  };

  struct Cells {
    Counter* groups = nullptr;
    Counter* batches = nullptr;
    Counter* conflicts = nullptr;
    Histogram* write_s = nullptr;
  };

  void run();
  void wait_for_work(std::unique_lock<std::mutex>& lock);
  std::vector<Pending> take_group();
  void process(std::vector<Pending> group);
  void admit(
      std::span<const Pending> group,
      std::vector<AcceptedView>& accepted,
      std::vector<Result<Revision>>& results
  );
  Status write(std::span<const AcceptedView> accepted, bool sync);
  void try_to_recover();
  void set_failure(std::optional<Error> failure);

  GroupWriter& writer_;
  WatchList& watches_;
  const CommitterOptions options_;
  Cells cells_;
  // Of the committer's thread.
  Revision last_revision_;
  std::optional<Error> failed_;

  mutable std::mutex mutex_;
  std::condition_variable wakeup_;
  std::vector<Pending> queue_;
  std::size_t queued_bytes_ = 0;
  std::optional<Error> failure_;
  std::atomic<std::uint64_t> failures_ = 0;
  bool asleep_ = false;
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace iotcore::store
