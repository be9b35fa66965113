#include "store/group_overlay.h"

#include <algorithm>

namespace iotcore::store {

void GroupOverlay::add(const Batch& batch, Revision revision) {
  batch.for_each([&](const OperationView& operation) {
    ++order_;
    switch (operation.kind) {
      case OperationView::Kind::kPut:
        points_[{operation.table, operation.key}] = {order_, revision};
        break;
      case OperationView::Kind::kErase:
        points_[{operation.table, operation.key}] = {order_, std::nullopt};
        break;
      case OperationView::Kind::kEraseRange:
        ranges_.push_back({order_, operation.table, operation.key, operation.value});
        break;
      case OperationView::Kind::kExpectAbsent:
      case OperationView::Kind::kExpectRevision:
        break;
    }
  });
}

std::optional<GroupOverlay::Effect> GroupOverlay::find(Table table, std::string_view key) const {
  const auto point = points_.find({table, key});
  const std::uint64_t written = point == points_.end() ? 0 : point->second.order;
  const bool erased = std::any_of(ranges_.begin(), ranges_.end(), [&](const Range& range) {
    return range.order > written && range.table == table && range.from <= key && key < range.to;
  });
  if (erased) {
    return Effect{std::nullopt};
  }
  if (point == points_.end()) {
    return std::nullopt;
  }
  return Effect{point->second.revision};
}

}  // namespace iotcore::store
