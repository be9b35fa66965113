#pragma once

#include "store/rocksdb_store.h"

#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/slice_transform.h>

#include <atomic>
#include <memory>
#include <vector>

namespace iotcore::store {

// While it is down, each row of the tables that a fleet is taken into looks for its place in the memtable from where the last one went: right for a group whose
// rows come in the order of their keys. Up otherwise, above all for deletions of ranges, which the library's memtable keeps in a second list, but would look up
// from the same place; and while the log is replayed.
class Finger final : public rocksdb::SliceTransform {
 public:
  const char* Name() const override { return "iotcore.Finger"; }

  rocksdb::Slice Transform(const rocksdb::Slice& /*key*/) const override { return {}; }

  bool InDomain(const rocksdb::Slice& /*key*/) const override {
    return is_down_.load(std::memory_order_relaxed);
  }

  // On the thread that writes.
  void put_down(bool down) { is_down_.store(down, std::memory_order_relaxed); }

 private:
  std::atomic<bool> is_down_ = false;
};

rocksdb::DBOptions database_options(const RocksDbOptions& options);

// In the order of Table, then the library's default.
std::vector<rocksdb::ColumnFamilyDescriptor> families_of(
    const std::shared_ptr<rocksdb::Cache>& cache, const std::shared_ptr<Finger>& finger
);

}  // namespace iotcore::store
