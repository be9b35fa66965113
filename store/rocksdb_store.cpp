#include "store/rocksdb_store.h"

#include "base/check.h"
#include "base/log.h"
#include "base/thread_pool.h"
#include "store/committer.h"
#include "store/keys.h"
#include "store/rocksdb_options.h"
#include "store/watch_list.h"
#include "store/write_order.h"

#include <fmt/format.h>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/options.h>
#include <rocksdb/perf_level.h>
#include <rocksdb/utilities/checkpoint.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

namespace iotcore::store {
namespace {

// A value on disk is the revision, eight bytes big-endian, and then the value.
constexpr std::size_t kRevisionBytes = 8;

rocksdb::Slice slice(std::string_view bytes) {
  return {bytes.data(), bytes.size()};
}

std::string_view view(const rocksdb::Slice& bytes) {
  return {bytes.data(), bytes.size()};
}

Error error_of(std::string_view doing, const rocksdb::Status& status) {
  const Errc code = status.IsNoSpace() || status.subcode() == rocksdb::Status::kSpaceLimit
                        ? Errc::kStoreFull
                    : status.IsCorruption() ? Errc::kStoreCorrupt
                                            : Errc::kStoreIo;
  return {code, fmt::format("store: {}: {}", doing, status.ToString())};
}

Result<Revision> revision_in(std::string_view stored) {
  ByteReader reader(stored);
  const std::uint64_t revision = reader.u64();
  if (!reader.ok()) {
    return fail(Errc::kStoreCorrupt, "store: a row is too short for its revision");
  }
  return Revision(revision);
}

Result<Row> row_in(std::string_view stored) {
  IOTCORE_ASSIGN(const Revision revision, revision_in(stored));
  return Row{std::string(stored.substr(kRevisionBytes)), revision};
}

// An open database and its tables. Closed by the destructor.
class Database {
 public:
  static Result<std::unique_ptr<Database>> open(
      const std::filesystem::path& dir,
      const RocksDbOptions& options,
      const std::shared_ptr<rocksdb::Cache>& cache
  );

  Database(
      std::unique_ptr<rocksdb::DB> db,
      std::vector<rocksdb::ColumnFamilyHandle*> handles,
      std::shared_ptr<Finger> finger
  )
      : db_(std::move(db)), handles_(std::move(handles)), finger_(std::move(finger)) {}

  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  ~Database() {
    for (rocksdb::ColumnFamilyHandle* handle : handles_) {
      db_->DestroyColumnFamilyHandle(handle);
    }
    if (const rocksdb::Status closed = db_->Close(); !closed.ok()) {
      log(LogLevel::kWarn, "store.close_failed", {{"error", closed.ToString()}});
    }
  }

  rocksdb::DB* operator->() { return db_.get(); }

  rocksdb::DB* get() { return db_.get(); }

  rocksdb::ColumnFamilyHandle* table(Table table) { return handles_[index(table)]; }

  Finger& finger() { return *finger_; }

 private:
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;  // in the order of Table, then the default
  std::shared_ptr<Finger> finger_;                     // the other owner: the library's options
};

Status check_tables_known(const rocksdb::DBOptions& options, const std::string& dir) {
  if (!options.env->FileExists(dir + "/CURRENT").ok()) {
    return {};
  }
  std::vector<std::string> found;
  if (const auto listed = rocksdb::DB::ListColumnFamilies(options, dir, &found); !listed.ok()) {
    return fail(error_of("reading the list of tables", listed));
  }
  for (const std::string& table : found) {
    if (table != rocksdb::kDefaultColumnFamilyName &&
        std::find(kTableNames.begin(), kTableNames.end(), table) == kTableNames.end()) {
      return fail(
          Errc::kStoreIo,
          fmt::format(
              "store: {} has a table '{}' that this version does not know: use the version that "
              "wrote it, or a newer one",
              dir,
              table
          )
      );
    }
  }
  return {};
}

Result<std::unique_ptr<Database>> Database::open(
    const std::filesystem::path& dir,
    const RocksDbOptions& options,
    const std::shared_ptr<rocksdb::Cache>& cache
) {
  std::error_code created;
  std::filesystem::create_directories(dir, created);
  if (created) {
    return fail(
        Errc::kStoreIo, fmt::format("store: creating {}: {}", dir.native(), created.message())
    );
  }
  const rocksdb::DBOptions database = database_options(options);
  IOTCORE_TRY(check_tables_known(database, dir));
  auto finger = std::make_shared<Finger>();
  const std::vector<rocksdb::ColumnFamilyDescriptor> families = families_of(cache, finger);
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const auto opened = rocksdb::DB::Open(database, dir, families, &handles, &db);
  if (!opened.ok()) {
    return fail(error_of(fmt::format("opening {}", dir.native()), opened));
  }
  return std::make_unique<Database>(
      std::unique_ptr<rocksdb::DB>(db), std::move(handles), std::move(finger)
  );
}

rocksdb::Status add_to(
    rocksdb::WriteBatch& batch,
    rocksdb::ColumnFamilyHandle* table,
    const OperationView& operation,
    Revision revision
) {
  switch (operation.kind) {
    case OperationView::Kind::kPut: {
      std::string before_value;  // short enough for no allocation
      append_u64(before_value, number(revision));
      const rocksdb::Slice key = slice(operation.key);
      const std::array value = {rocksdb::Slice(before_value), slice(operation.value)};
      return batch.Put(table, {&key, 1}, {value.data(), static_cast<int>(value.size())});
    }
    case OperationView::Kind::kErase:
      return batch.Delete(table, slice(operation.key));
    case OperationView::Kind::kEraseRange:
      return batch.DeleteRange(table, slice(operation.key), slice(operation.value));
    case OperationView::Kind::kExpectAbsent:
    case OperationView::Kind::kExpectRevision:
      break;
  }
  return rocksdb::Status::OK();
}

class RocksDbStore final : public Store, private GroupWriter {
 public:
  RocksDbStore(
      std::filesystem::path dir,
      const RocksDbOptions& options,
      std::shared_ptr<rocksdb::Cache> cache,
      std::unique_ptr<Database> db
  )
      : dir_(std::move(dir)),
        options_(options),
        cache_(std::move(cache)),
        db_(std::move(db)),
        readers_("store-read", options.read_threads) {
    CommitterOptions committer;
    committer.sync = options.durability == Durability::kSync;
    committer.linger = options.linger;
    committer.queue_bytes_max = options.queue_bytes_max;
    committer.retry_interval = options.retry_interval;
    committer.metrics = options.metrics;
    GroupWriter& writer = *this;
    committer_ = std::make_unique<Committer>(writer, watches_, committer);
  }

  ~RocksDbStore() override {
    committer_.reset();
    if (db_ != nullptr && options_.durability == Durability::kSync) {
      if (const auto synced = (*db_)->SyncWAL(); !synced.ok()) {
        log(LogLevel::kWarn, "store.close_failed", {{"error", synced.ToString()}});
      }
    }
  }

  Result<std::optional<Row>> get(Table table, std::string_view key) override;
  std::optional<Row> get_cached(Table table, std::string_view key) override;
  Result<std::vector<std::optional<Row>>> multi_get(Table table, std::span<const std::string> keys)
      override;
  Result<std::vector<Entry>> scan(
      Table table, std::string_view prefix, std::string_view from, std::size_t limit
  ) override;
  Status checkpoint(const std::filesystem::path& dir) override;

  Health health() const override { return committer_->health(); }

  std::uint64_t failures() const override { return committer_->failures(); }

  Executor& readers() override { return readers_; }

  void commit(Batch batch, Executor* on, CommitDone done) override {
    committer_->submit(std::move(batch), on, std::move(done));
  }

  Watch watch(
      Table table, std::string_view prefix, Executor& on, Function<void(const Change&)> changed
  ) override {
    return watches_.add(table, prefix, on, std::move(changed));
  }

 private:
  Result<std::optional<Revision>> revision_of(Table table, std::string_view key) override;
  Status write(std::span<const AcceptedView> group, bool sync) override;
  Status recover() override;
  Status try_disk();
  Revision last_revision() override;

  static Error closed() { return {Errc::kStoreIo, "store: closed after an error"}; }

  const std::filesystem::path dir_;
  const RocksDbOptions options_;
  const std::shared_ptr<rocksdb::Cache> cache_;

  // Exclusive only while recover() opens the database anew; null when that failed.
  mutable std::shared_mutex db_mutex_;
  std::unique_ptr<Database> db_;

  rocksdb::WriteBatch group_;       // of the committer's thread
  std::vector<WriteView> ordered_;  // the same
  WatchList watches_;
  ThreadPool readers_;
  std::unique_ptr<Committer> committer_;
};

Result<std::optional<Row>> RocksDbStore::get(Table table, std::string_view key) {
  const std::shared_lock lock(db_mutex_);
  if (db_ == nullptr) {
    return fail(closed());
  }
  rocksdb::PinnableSlice stored;
  const auto found = (*db_)->Get(rocksdb::ReadOptions(), db_->table(table), slice(key), &stored);
  if (found.IsNotFound()) {
    return std::nullopt;
  }
  if (!found.ok()) {
    return fail(error_of("reading", found));
  }
  IOTCORE_ASSIGN(Row row, row_in(view(stored)));
  return row;
}

std::optional<Row> RocksDbStore::get_cached(Table table, std::string_view key) {
  const std::shared_lock lock(db_mutex_, std::try_to_lock);
  if (!lock.owns_lock() || db_ == nullptr) {
    return std::nullopt;
  }
  rocksdb::ReadOptions read;
  read.read_tier = rocksdb::kBlockCacheTier;
  rocksdb::PinnableSlice stored;
  if (!(*db_)->Get(read, db_->table(table), slice(key), &stored).ok()) {
    return std::nullopt;
  }
  Result<Row> row = row_in(view(stored));
  return row ? std::optional<Row>(*std::move(row)) : std::nullopt;
}

Result<std::vector<std::optional<Row>>> RocksDbStore::multi_get(
    Table table, std::span<const std::string> keys
) {
  const std::shared_lock lock(db_mutex_);
  if (db_ == nullptr) {
    return fail(closed());
  }
  const std::vector<rocksdb::Slice> slices(keys.begin(), keys.end());
  std::vector<rocksdb::PinnableSlice> stored(keys.size());
  std::vector<rocksdb::Status> found(keys.size());
  (*db_)->MultiGet(
      rocksdb::ReadOptions(),
      db_->table(table),
      slices.size(),
      slices.data(),
      stored.data(),
      found.data()
  );
  std::vector<std::optional<Row>> rows(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (found[i].IsNotFound()) {
      continue;
    }
    if (!found[i].ok()) {
      return fail(error_of("reading", found[i]));
    }
    IOTCORE_ASSIGN(rows[i], row_in(view(stored[i])));
  }
  return rows;
}

Result<std::vector<Entry>> RocksDbStore::scan(
    Table table, std::string_view prefix, std::string_view from, std::size_t limit
) {
  const std::shared_lock lock(db_mutex_);
  if (db_ == nullptr) {
    return fail(closed());
  }
  const std::string end = prefix_end(prefix);
  const rocksdb::Slice end_slice(end);
  rocksdb::ReadOptions read;
  read.iterate_upper_bound = &end_slice;
  KeyReader key(prefix);
  read.total_order_seek = !key.kind() || !key.skip_text();
  const std::unique_ptr<rocksdb::Iterator> row((*db_)->NewIterator(read, db_->table(table)));
  std::vector<Entry> entries;
  for (row->Seek(slice(std::max(prefix, from))); row->Valid() && entries.size() < limit;
       row->Next()) {
    IOTCORE_ASSIGN(Row value, row_in(view(row->value())));
    entries.push_back({row->key().ToString(), std::move(value.value), value.revision});
  }
  if (!row->status().ok()) {
    return fail(error_of("reading", row->status()));
  }
  return entries;
}

Status RocksDbStore::checkpoint(const std::filesystem::path& dir) {
  const std::shared_lock lock(db_mutex_);
  if (db_ == nullptr) {
    return fail(closed());
  }
  rocksdb::Checkpoint* made = nullptr;
  rocksdb::Status status = rocksdb::Checkpoint::Create(db_->get(), &made);
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(made);
  if (status.ok()) {
    status = checkpoint->CreateCheckpoint(std::filesystem::absolute(dir));
  }
  if (!status.ok()) {
    return fail(error_of(fmt::format("copying to {}", dir.native()), status));
  }
  return {};
}

Result<std::optional<Revision>> RocksDbStore::revision_of(Table table, std::string_view key) {
  rocksdb::PinnableSlice stored;
  const auto found = (*db_)->Get(rocksdb::ReadOptions(), db_->table(table), slice(key), &stored);
  if (found.IsNotFound()) {
    return std::nullopt;
  }
  if (!found.ok()) {
    return fail(error_of("reading", found));
  }
  IOTCORE_ASSIGN(const Revision revision, revision_in(view(stored)));
  return revision;
}

// No lock here: only this thread replaces db_, in recover(), and the committer does not write
// before that succeeded.
Status RocksDbStore::write(std::span<const AcceptedView> group, bool sync) {
  group_.Clear();
  rocksdb::Status added;
  const auto add = [&](const OperationView& operation, Revision revision) {
    const rocksdb::Status status = add_to(group_, db_->table(operation.table), operation, revision);
    if (!status.ok() && added.ok()) {
      added = status;
    }
  };
  const bool is_ordered = order_writes(group, ordered_);
  if (is_ordered) {
    for (const WriteView& write : ordered_) {
      add(write.operation, write.revision);
    }
  } else {
    for (const AcceptedView& accepted : group) {
      accepted.batch->for_each([&](const OperationView& operation) {
        add(operation, accepted.revision);
      });
    }
  }
  if (!added.ok()) {
    return fail(error_of("encoding a group", added));
  }
  // The library counts every comparison for a report that nobody asks for.
  rocksdb::SetPerfLevel(rocksdb::PerfLevel::kDisable);
  rocksdb::WriteOptions options;
  options.sync = sync;
  options.disableWAL = options_.durability == Durability::kMemory;
  db_->finger().put_down(is_ordered);
  const auto written = (*db_)->Write(options, &group_);
  db_->finger().put_down(false);
  if (!written.ok()) {
    return fail(error_of("writing", written));
  }
  return {};
}

Status RocksDbStore::recover() {
  if (db_ != nullptr) {
    // What was acknowledged is in the memtables: resuming writes them to new files and begins a new
    // log. What the failed log may have lost, a failed fsync's pages among it, is then not needed
    // any more.
    const auto resumed = (*db_)->Resume();
    if (resumed.ok()) {
      return {};
    }
    // Opening anew replays the log into new files, with the same effect. While that is bound to
    // fail, the database stays open, for reading.
    if (resumed.IsNoSpace()) {
      return fail(error_of("resuming", resumed));
    }
    IOTCORE_TRY(try_disk());
  }
  const std::unique_lock lock(db_mutex_);
  db_.reset();
  IOTCORE_ASSIGN(db_, Database::open(dir_, options_, cache_));
  return {};
}

// Whether the disk takes a file and keeps it.
Status RocksDbStore::try_disk() {
  rocksdb::Env* env = options_.env != nullptr ? options_.env : rocksdb::Env::Default();
  const std::string file = dir_ / "trial";
  if (const auto written = rocksdb::WriteStringToFile(env, "trial", file, true); !written.ok()) {
    return fail(error_of("trying the disk", written));
  }
  if (const auto erased = env->DeleteFile(file); !erased.ok()) {
    return fail(error_of("trying the disk", erased));
  }
  return {};
}

// Every commit is at least one operation, and every operation takes a sequence number: counting
// commits from the sequence number found at start never overtakes it, so that revisions are never
// used twice.
Revision RocksDbStore::last_revision() {
  return Revision((*db_)->GetLatestSequenceNumber());
}

}  // namespace

Result<std::unique_ptr<Store>> open_rocksdb_store(
    const std::filesystem::path& dir, const RocksDbOptions& options
) {
  std::shared_ptr<rocksdb::Cache> cache = rocksdb::NewLRUCache(options.block_cache_bytes);
  IOTCORE_ASSIGN(std::unique_ptr<Database> db, Database::open(dir, options, cache));
  return std::make_unique<RocksDbStore>(dir, options, std::move(cache), std::move(db));
}

}  // namespace iotcore::store
