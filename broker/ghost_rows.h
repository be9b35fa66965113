#pragma once

#include "store/batch.h"
#include "store/table.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace iotcore::broker {

// Rows of commits that failed. They may be in the store all the same (Store), and their erasure fails with all else until the store has recovered: so
// every commit begins with it until one has succeeded. Of one worker, whose commits succeed and fail in their order.
class GhostRows {
 public:
  bool empty() const { return rows_.empty(); }

  // `commit`: the number of the next one.
  void add(store::Table table, std::string_view key, std::uint64_t commit) {
    rows_.insert_or_assign({table, std::string(key)}, commit);
  }

  // It is written anew.
  void forget(store::Table table, std::string_view key) {
    if (!rows_.empty()) {
      rows_.erase({table, std::string(key)});
    }
  }

  // The batch with the erasures before all that is in it.
  store::Batch before(const store::Batch& batch) const {
    store::Batch whole;
    for (const auto& [row, commit] : rows_) {
      whole.erase(row.first, row.second);
    }
    whole.append(batch);
    return whole;
  }

  void on_committed(std::uint64_t commit) {
    std::erase_if(rows_, [commit](const auto& row) { return row.second <= commit; });
  }

 private:
  std::map<std::pair<store::Table, std::string>, std::uint64_t> rows_;
};

}  // namespace iotcore::broker
