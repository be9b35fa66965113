#include "store/rocksdb_store.h"

#include "base/check.h"
#include "base/log.h"
#include "base/thread_pool.h"
#include "store/committer.h"
#include "store/keys.h"
#include "store/watch_list.h"
#include "store/write_order.h"

#include <fmt/format.h>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/memtablerep.h>
#include <rocksdb/options.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/sst_file_manager.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/checkpoint.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <sys/resource.h>
#include <unistd.h>
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

// The library's warnings, in our log. Its own log is a file beside the data: when the disk is full it cannot be written, and Debian's build, which has its
// assertions, aborts the process at the second line that fails.
class LibraryLog final : public rocksdb::Logger {
 public:
  LibraryLog() : Logger(rocksdb::InfoLogLevel::WARN_LEVEL) {}

  void Logv(rocksdb::InfoLogLevel level, const char* format, va_list arguments) override {
    if (level < GetInfoLogLevel() || level >= rocksdb::InfoLogLevel::HEADER_LEVEL) {
      return;
    }
    std::array<char, 1024> text;
    if (std::vsnprintf(text.data(), text.size(), format, arguments) < 0) {
      return;
    }
    const LogLevel ours =
        level == rocksdb::InfoLogLevel::WARN_LEVEL ? LogLevel::kWarn : LogLevel::kError;
    log(ours, "store.library", {{"message", text.data()}});
  }

  void Logv(const char* format, va_list arguments) override {
    Logv(rocksdb::InfoLogLevel::INFO_LEVEL, format, arguments);
  }

  // All options at every start: they are in OPTIONS beside the data.
  void LogHeader(const char* /*format*/, va_list /*arguments*/) override {}
};

// Of the one thread that flushes: a quarter of what a thread of the server gets, where both want to run.
void yield_to_messages(void* /*nothing*/) {
  constexpr int kNice = 6;
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNice);
}

rocksdb::DBOptions database_options(const RocksDbOptions& options) {
  rocksdb::DBOptions out;
  out.create_if_missing = true;
  out.create_missing_column_families = true;
  out.max_background_jobs = 2;
  // Bounds what is replayed at start: about a second.
  out.max_total_wal_size = 128U << 20;
  // A torn end of the log was never acknowledged. Damage before the end was, and may not pass
  // silently.
  out.wal_recovery_mode = options.salvage ? rocksdb::WALRecoveryMode::kPointInTimeRecovery
                                          : rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  // A flush pushes out its file as it writes it: what the file system has kept until its end would have to go with somebody's fsync of the log.
  out.bytes_per_sync = 2U << 20;
  // One thread writes.
  out.allow_concurrent_memtable_write = false;
  out.enable_write_thread_adaptive_yield = false;
  out.avoid_unnecessary_blocking_io = true;
  out.info_log = std::make_shared<LibraryLog>();
  out.stats_dump_period_sec = 0;
  out.stats_persist_period_sec = 0;
  if (options.env != nullptr) {
    out.env = options.env;
  }
  // Compacting takes what messages leave of the processor. Flushing yields to them, but not wholly: while it waits, the log grows that a start has to read, and in the
  // end writers wait for it.
  out.env->LowerThreadPoolCPUPriority(rocksdb::Env::LOW, rocksdb::CpuPriority::kLow);
  out.env->Schedule(&yield_to_messages, nullptr, rocksdb::Env::HIGH);
  // A file that has gone is given back to the disk in pieces: where the file system trims, a log of 100 MB at once keeps everybody's fsync waiting.
  constexpr std::int64_t kDeletedBytesPerSecond = 128 << 20;
  constexpr double kAnyAmountOfTrash = 1e9;
  constexpr std::uint64_t kDeletedAtOnce = 8 << 20;
  out.sst_file_manager.reset(rocksdb::NewSstFileManager(
      out.env,
      out.info_log,
      "",
      kDeletedBytesPerSecond,
      true,
      nullptr,
      kAnyAmountOfTrash,
      kDeletedAtOnce
  ));
  return out;
}

rocksdb::ColumnFamilyOptions table_options(std::shared_ptr<rocksdb::Cache> cache) {
  rocksdb::BlockBasedTableOptions blocks;
  blocks.block_cache = std::move(cache);
  blocks.cache_index_and_filter_blocks = true;
  blocks.pin_l0_filter_and_index_blocks_in_cache = true;
  blocks.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  // Filters and indexes in parts of a few KiB. Those of a whole file, megabytes, do not fit into one of the cache's 64 shards: with a million things each read took
  // them from the file anew, most of a millisecond.
  blocks.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
  blocks.partition_filters = true;
  blocks.index_block_restart_interval = 8;  // keys that have much in common take less
  rocksdb::ColumnFamilyOptions out;
  out.table_factory.reset(rocksdb::NewBlockBasedTableFactory(blocks));
  out.compression = rocksdb::kLZ4Compression;
  out.level_compaction_dynamic_level_bytes = true;
  out.write_buffer_size = 64U << 20;
  out.max_write_buffer_number = 4;  // writers do not wait for a flush
  return out;
}

// Of a table that is written far more than it is read, because memory has it all: what has not gone to a file is kept in the order of writing and
// sorted when somebody looks. Finding its place among a hundred thousand others was half of what a retained message cost.
rocksdb::ColumnFamilyOptions written_table_options(rocksdb::ColumnFamilyOptions out) {
  out.memtable_factory = std::make_shared<rocksdb::VectorRepFactory>();
  out.write_buffer_size = 8U << 20;  // so that sorting is quick, and memory has little twice
  return out;
}

// Of tables that a fleet is taken into: that a row is not there yet, which is asked four times of each thing, is told without looking for its place.
rocksdb::ColumnFamilyOptions filled_table_options(rocksdb::ColumnFamilyOptions out) {
  out.memtable_whole_key_filtering = true;
  out.memtable_prefix_bloom_size_ratio = 0.005;  // 8 bits a row
  return out;
}

// Kind and first text of a key: of a shadow's rows, whose they are. Where there is no text, the whole key.
std::size_t owner_bytes(std::string_view key) {
  KeyReader reader(key);
  return reader.kind() && reader.skip_text() ? key.size() - reader.rest().size() : key.size();
}

class ByOwner final : public rocksdb::SliceTransform {
 public:
  const char* Name() const override { return "iotcore.ByOwner"; }

  rocksdb::Slice Transform(const rocksdb::Slice& key) const override {
    return {key.data(), owner_bytes(view(key))};
  }

  bool InDomain(const rocksdb::Slice& /*key*/) const override { return true; }
};

// Of a table whose rows are written over and over: what has not gone to a file is kept in lists by a hash of their owner. Finding its place among fifty
// thousand others was a seventh of what the update of a shadow cost. Who reads the rows of several owners in order pays for sorting.
rocksdb::ColumnFamilyOptions hashed_table_options(rocksdb::ColumnFamilyOptions out) {
  constexpr std::size_t kBuckets = 1U << 16;
  out.prefix_extractor = std::make_shared<ByOwner>();
  out.memtable_factory.reset(rocksdb::NewHashLinkListRepFactory(kBuckets));
  return out;
}

// An open database and its tables. Closed by the destructor.
class Database {
 public:
  static Result<std::unique_ptr<Database>> open(
      const std::filesystem::path& dir,
      const RocksDbOptions& options,
      const std::shared_ptr<rocksdb::Cache>& cache
  );

  Database(std::unique_ptr<rocksdb::DB> db, std::vector<rocksdb::ColumnFamilyHandle*> handles)
      : db_(std::move(db)), handles_(std::move(handles)) {}

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

 private:
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;  // in the order of Table, then the default
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
  const rocksdb::ColumnFamilyOptions family = table_options(cache);
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const std::string_view table : kTableNames) {
    families.emplace_back(std::string(table), family);
  }
  families[index(Table::kRetained)].options = written_table_options(family);
  families[index(Table::kShadows)].options = hashed_table_options(family);
  families[index(Table::kRegistry)].options = filled_table_options(family);
  families[index(Table::kPrincipals)].options = filled_table_options(family);
  families.emplace_back(rocksdb::kDefaultColumnFamilyName, family);

  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const auto opened = rocksdb::DB::Open(database, dir, families, &handles, &db);
  if (!opened.ok()) {
    return fail(error_of(fmt::format("opening {}", dir.native()), opened));
  }
  return std::make_unique<Database>(std::unique_ptr<rocksdb::DB>(db), std::move(handles));
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
  rocksdb::Status add(const OperationView& operation, Revision revision);
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
  const auto add_write = [&](const OperationView& operation, Revision revision) {
    const rocksdb::Status status = add(operation, revision);
    if (!status.ok() && added.ok()) {
      added = status;
    }
  };
  if (order_writes(group, ordered_)) {
    for (const WriteView& write : ordered_) {
      add_write(write.operation, write.revision);
    }
  } else {
    for (const AcceptedView& accepted : group) {
      accepted.batch->for_each([&](const OperationView& operation) {
        add_write(operation, accepted.revision);
      });
    }
  }
  if (!added.ok()) {
    return fail(error_of("encoding a group", added));
  }
  rocksdb::WriteOptions options;
  options.sync = sync;
  options.disableWAL = options_.durability == Durability::kMemory;
  if (const auto written = (*db_)->Write(options, &group_); !written.ok()) {
    return fail(error_of("writing", written));
  }
  return {};
}

rocksdb::Status RocksDbStore::add(const OperationView& operation, Revision revision) {
  rocksdb::ColumnFamilyHandle* table = db_->table(operation.table);
  switch (operation.kind) {
    case OperationView::Kind::kPut: {
      std::string before_value;  // short enough for no allocation
      append_u64(before_value, number(revision));
      const rocksdb::Slice key = slice(operation.key);
      const std::array value = {rocksdb::Slice(before_value), slice(operation.value)};
      return group_.Put(table, {&key, 1}, {value.data(), static_cast<int>(value.size())});
    }
    case OperationView::Kind::kErase:
      return group_.Delete(table, slice(operation.key));
    case OperationView::Kind::kEraseRange:
      return group_.DeleteRange(table, slice(operation.key), slice(operation.value));
    case OperationView::Kind::kExpectAbsent:
    case OperationView::Kind::kExpectRevision:
      break;
  }
  return rocksdb::Status::OK();
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
