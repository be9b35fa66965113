#pragma once

#include "base/metrics.h"
#include "base/result.h"
#include "store/store.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>

namespace rocksdb {
class Env;
}

namespace iotcore::store {

// When a commit completes.
enum class Durability : std::uint8_t {
  kSync,    // on disk: survives the loss of power
  kOs,      // with the operating system: survives the end of the process
  kMemory,  // in memory: survives an orderly stop
};

struct RocksDbOptions {
  Durability durability = Durability::kSync;
  std::chrono::microseconds linger{0};
  std::size_t block_cache_bytes = 128U << 20;
  // Commits are refused with kServerBusy above it.
  std::size_t queue_bytes_max = 64U << 20;
  std::size_t read_threads = 2;
  std::chrono::milliseconds retry_interval{1000};
  // Opens a damaged log at its last good write instead of refusing to: acknowledged writes after
  // that are lost.
  bool salvage = false;
  Metrics* metrics = nullptr;
  // Tests: an environment with faults, which outlives the store.
  rocksdb::Env* env = nullptr;
};

// Opens or creates the store in a folder, which no other process may have open.
Result<std::unique_ptr<Store>> open_rocksdb_store(
    const std::filesystem::path& dir, const RocksDbOptions& options
);

}  // namespace iotcore::store
