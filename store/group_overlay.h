#pragma once

#include "store/batch.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace iotcore::store {

// What a group's accepted batches, not written yet, do to rows: expectations of later batches in
// the group look here before they look at the rows. Pure.
class GroupOverlay {
 public:
  struct Effect {
    std::optional<Revision> revision;  // none: erased
  };

  void add(const Batch& batch, Revision revision);
  // Nothing: the group does not touch the row.
  std::optional<Effect> find(Table table, std::string_view key) const;

 private:
  struct Point {
    std::uint64_t order;
    std::optional<Revision> revision;
  };

  struct Range {
    std::uint64_t order;
    Table table;
    std::string from;
    std::string to;
  };

  static std::string point_key(Table table, std::string_view key);

  std::uint64_t order_ = 0;
  std::unordered_map<std::string, Point> points_;
  std::vector<Range> ranges_;
};

}  // namespace iotcore::store
