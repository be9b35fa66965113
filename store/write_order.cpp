#include "store/write_order.h"

#include <algorithm>
#include <cstddef>
#include <tuple>

namespace iotcore::store {
namespace {

constexpr std::size_t kWorthOrdering = 256;

// Where the rows of a thing stand far apart. Messages' rows come in their order anyway.
bool is_ordered(Table table) {
  return table == Table::kRegistry || table == Table::kPrincipals;
}

// Most groups have few writes, and are not looked into.
bool is_worth_it(std::span<const AcceptedView> group) {
  std::size_t writes = 0;
  for (const AcceptedView& accepted : group) {
    writes += accepted.batch->writes();
  }
  if (writes < kWorthOrdering) {
    return false;
  }
  std::size_t worth = 0;
  bool has_range = false;
  for (const AcceptedView& accepted : group) {
    accepted.batch->for_each([&](const OperationView& operation) {
      const bool is_row = operation.kind == OperationView::Kind::kPut ||
                          operation.kind == OperationView::Kind::kErase;
      worth += is_row && is_ordered(operation.table) ? 1 : 0;
      has_range = has_range || operation.kind == OperationView::Kind::kEraseRange;
    });
  }
  return worth >= kWorthOrdering && !has_range;
}

}  // namespace

bool order_writes(std::span<const AcceptedView> group, std::vector<WriteView>& out) {
  out.clear();
  if (!is_worth_it(group)) {
    return false;
  }
  for (const AcceptedView& accepted : group) {
    accepted.batch->for_each([&](const OperationView& operation) {
      if (operation.kind == OperationView::Kind::kPut ||
          operation.kind == OperationView::Kind::kErase) {
        out.push_back({operation, accepted.revision});
      }
    });
  }
  std::stable_sort(out.begin(), out.end(), [](const WriteView& a, const WriteView& b) {
    return std::tie(a.operation.table, a.operation.key) <
           std::tie(b.operation.table, b.operation.key);
  });
  return true;
}

}  // namespace iotcore::store
