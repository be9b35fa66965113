#pragma once

#include "store/batch.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory_resource>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace iotcore::store {

// What a group's accepted batches, not written yet, do to rows: expectations of later batches look here before they look at the rows. Points into the batches,
// which outlive it. Pure.
class GroupOverlay {
 public:
  struct Effect {
    std::optional<Revision> revision;  // none: erased
  };

  void add(const Batch& batch, Revision revision);
  // Nothing: the group does not touch the row.
  std::optional<Effect> find(Table table, std::string_view key) const;

 private:
  struct Key {
    Table table;
    std::string_view key;

    bool operator==(const Key& other) const = default;
  };

  struct KeyHash {
    std::size_t operator()(const Key& key) const {
      return std::hash<std::string_view>()(key.key) + index(key.table);
    }
  };

  struct Point {
    std::uint64_t order;
    std::optional<Revision> revision;
  };

  struct Range {
    std::uint64_t order;
    Table table;
    std::string_view from;
    std::string_view to;
  };

  std::uint64_t order_ = 0;
  std::pmr::monotonic_buffer_resource memory_;
  std::pmr::unordered_map<Key, Point, KeyHash> points_{&memory_};
  std::vector<Range> ranges_;
};

}  // namespace iotcore::store
