#include "store/rocksdb_options.h"

#include "base/log.h"
#include "store/keys.h"
#include "store/table.h"

#include <rocksdb/cache.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/memtablerep.h>
#include <rocksdb/sst_file_manager.h>
#include <rocksdb/table.h>

#include <array>
#include <cstdarg>
#include <cstdio>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <unistd.h>
#include <utility>

namespace iotcore::store {
namespace {

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
rocksdb::ColumnFamilyOptions filled_table_options(
    rocksdb::ColumnFamilyOptions out, const std::shared_ptr<Finger>& finger
) {
  out.memtable_whole_key_filtering = true;
  out.memtable_prefix_bloom_size_ratio = 0.005;  // 8 bits a row
  out.memtable_insert_with_hint_prefix_extractor = finger;
  // A fleet's files are merged with the rest half as often as is usual, and nobody waits for it. Each that waits costs a read a look at its filter.
  out.level0_file_num_compaction_trigger = 8;
  out.level0_slowdown_writes_trigger = 40;
  out.level0_stop_writes_trigger = 60;
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
    return {key.data(), owner_bytes({key.data(), key.size()})};
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

}  // namespace

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

std::vector<rocksdb::ColumnFamilyDescriptor> families_of(
    const std::shared_ptr<rocksdb::Cache>& cache, const std::shared_ptr<Finger>& finger
) {
  const rocksdb::ColumnFamilyOptions family = table_options(cache);
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const std::string_view table : kTableNames) {
    families.emplace_back(std::string(table), family);
  }
  families[index(Table::kRetained)].options = written_table_options(family);
  families[index(Table::kShadows)].options = hashed_table_options(family);
  families[index(Table::kRegistry)].options = filled_table_options(family, finger);
  families[index(Table::kPrincipals)].options = filled_table_options(family, finger);
  families.emplace_back(rocksdb::kDefaultColumnFamilyName, family);
  return families;
}

}  // namespace iotcore::store
