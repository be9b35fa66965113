#pragma once

#include "base/executor.h"
#include "base/function.h"
#include "base/result.h"
#include "store/batch.h"
#include "store/table.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::store {

struct Row {
  std::string value;
  Revision revision;
};

struct Entry {
  std::string key;
  std::string value;
  Revision revision;
};

// What a commit did to a row, or to all rows in [key, end).
struct Change {
  enum class Kind : std::uint8_t { kPut, kErased, kRangeErased };

  Kind kind;
  std::string key;
  std::string end;  // kRangeErased only
  // Of kPut, if it is small: who keeps such rows in memory need not read each that was just written. Changes come in the order of their commits, so that the last
  // one's counts.
  std::optional<std::string> value;
  Revision revision;
};

inline constexpr std::size_t kChangeValueBytesMax = 64;

using CommitDone = Function<void(Result<Revision>)>;

// Changes arrive while it lives. Destroyed on the thread of its executor, it is silent from then
// on.
class Watch {
 public:
  struct Registration;

  Watch() = default;
  explicit Watch(std::shared_ptr<Registration> registration);
  Watch(Watch&&) noexcept = default;
  Watch& operator=(Watch&& other) noexcept;
  ~Watch();

 private:
  // Shared with the store, which drops it after the next change.
  std::shared_ptr<Registration> registration_;
};

struct Health {
  std::optional<Error> failure;  // why commits fail now
  std::uint64_t queued_batches = 0;
  std::uint64_t queued_bytes = 0;
};

// Ordered rows of bytes in a few tables, each with the revision of the commit that wrote it.
// Thread-safe.
//
// A commit completes with its revision when it is as durable as the store is configured to be, and
// never before. Commits that one thread makes are applied in that order. After a failed write (disk
// full, failed fsync, corruption) every commit fails, with kStoreFull, kStoreIo or kStoreCorrupt,
// until the store has recovered by itself or has been opened anew; a commit that failed so may or
// may not be there afterwards, whole or not at all.
//
// Destroying the store commits what is queued. Executors that are waited for must outlive it.
class Store {
 public:
  virtual ~Store() = default;

  // Reads block (a disk may be behind them): the control plane calls them on its pool, a worker
  // only at start. They see every commit that has completed.
  virtual Result<std::optional<Row>> get(Table table, std::string_view key) = 0;
  // For those who may not block: the row, if it is in memory. Without one, get() knows.
  virtual std::optional<Row> get_cached(Table table, std::string_view key) = 0;
  // Rows in the order of the keys, as of one instant.
  virtual Result<std::vector<std::optional<Row>>> multi_get(
      Table table, std::span<const std::string> keys
  ) = 0;
  // Rows that begin with `prefix`, from `from` on (included; empty: from the first), at most
  // `limit`, as of one instant. The next page begins at key_after(the last key).
  virtual Result<std::vector<Entry>> scan(
      Table table, std::string_view prefix, std::string_view from, std::size_t limit
  ) = 0;

  // Never blocks. `done` is posted to `on`; without `on` it is called on any thread, perhaps before
  // commit() returns, and must not block. A broken expectation gives kRevisionConflict, too much in
  // the queue kServerBusy; both apply nothing. Without `done` nobody is promised anything, so the
  // batch causes no fsync of its own: it becomes durable with the next that does.
  virtual void commit(Batch batch, Executor* on, CommitDone done) = 0;

  // After the fact and in order; posted to `on` before the commit completes. In a cluster it may be
  // late or lost, so that caches re-check revisions now and then.
  [[nodiscard]] virtual Watch watch(
      Table table, std::string_view prefix, Executor& on, Function<void(const Change&)> changed
  ) = 0;

  // A copy that can be opened by itself, in a folder that does not exist yet. Blocks; writes go on
  // meanwhile.
  virtual Status checkpoint(const std::filesystem::path& dir) = 0;
  virtual Health health() const = 0;
  // How many times a commit has failed for another reason than a broken expectation, those without `done` among them: what they were to erase may
  // still be there. Has risen before any of them completes.
  virtual std::uint64_t failures() const = 0;

  // commit() for those who may block.
  Result<Revision> commit_wait(Batch batch);
  // Empties every table.
  Status wipe();

  // Where those who may not block have their reads run.
  virtual Executor& readers() = 0;
};

}  // namespace iotcore::store
