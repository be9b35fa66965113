#include "store/write_order.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace iotcore::store {
namespace {

using Rows = std::map<std::pair<Table, std::string>, std::pair<std::string, Revision>>;

// What the writes leave, one after the other.
Rows rows_after(const std::vector<WriteView>& writes) {
  Rows rows;
  for (const WriteView& write : writes) {
    const auto at = std::pair(write.operation.table, std::string(write.operation.key));
    if (write.operation.kind == OperationView::Kind::kPut) {
      rows[at] = {std::string(write.operation.value), write.revision};
    } else if (write.operation.kind == OperationView::Kind::kErase) {
      rows.erase(at);
    } else {
      std::erase_if(rows, [&](const auto& row) {
        return row.first.first == at.first && row.first.second >= at.second &&
               row.first.second < write.operation.value;
      });
    }
  }
  return rows;
}

std::vector<WriteView> as_given(const std::vector<AcceptedView>& group) {
  std::vector<WriteView> out;
  for (const AcceptedView& accepted : group) {
    accepted.batch->for_each([&](const OperationView& operation) {
      if (operation.kind != OperationView::Kind::kExpectAbsent &&
          operation.kind != OperationView::Kind::kExpectRevision) {
        out.push_back({operation, accepted.revision});
      }
    });
  }
  return out;
}

TEST_CASE("writes leave the same rows in whichever order they go") {
  std::mt19937 random(3);
  for (const bool with_range : {false, true}) {
    for (const std::size_t each : {5, 90, 400}) {
      std::vector<Batch> batches(4);
      for (Batch& batch : batches) {
        batch.expect_absent(Table::kRegistry, "nowhere");
        for (std::size_t i = 0; i < each; ++i) {
          const Table table = i % 3 == 0 ? Table::kQueue : Table::kRegistry;
          const std::string key = "k" + std::to_string(random() % 150);
          if (with_range && i % 50 == 7) {
            batch.erase_range(table, key, "k9");
          } else if (random() % 4 == 0) {
            batch.erase(table, key);
          } else {
            batch.put(table, key, std::to_string(random()));
          }
        }
      }
      std::vector<AcceptedView> group;
      for (const Batch& batch : batches) {
        group.push_back({&batch, Revision(group.size() + 1)});
      }
      std::vector<WriteView> ordered = {{}};
      CHECK(order_writes(group, ordered) == (each == 400 && !with_range));
      if (ordered.empty()) {
        continue;
      }
      CHECK(ordered.size() == as_given(group).size());
      CHECK(rows_after(ordered) == rows_after(as_given(group)));
      CHECK(std::is_sorted(ordered.begin(), ordered.end(), [](const auto& a, const auto& b) {
        return std::pair(a.operation.table, a.operation.key) <
               std::pair(b.operation.table, b.operation.key);
      }));
    }
  }
}

TEST_CASE("of several writes of a row the last one counts, whichever batches they are in") {
  std::vector<Batch> batches(3);
  for (int i = 0; i < 300; ++i) {
    batches[0].put(Table::kPrincipals, "filler" + std::to_string(300 - i), "");
  }
  batches[0].put(Table::kRegistry, "kept", "first");
  batches[0].put(Table::kRegistry, "gone", "first");
  batches[0].put(Table::kRegistry, "kept", "second");
  batches[1].erase(Table::kRegistry, "kept");
  batches[1].put(Table::kRegistry, "gone", "second");
  batches[2].put(Table::kRegistry, "kept", "third");
  batches[2].erase(Table::kRegistry, "gone");
  const std::vector<AcceptedView> group = {
      {batches.data(), Revision(1)}, {&batches[1], Revision(2)}, {&batches[2], Revision(3)}};
  std::vector<WriteView> ordered;
  REQUIRE(order_writes(group, ordered));
  const Rows rows = rows_after(ordered);
  CHECK(rows == rows_after(as_given(group)));
  CHECK(rows.size() == 301);
  CHECK(rows.at({Table::kRegistry, "kept"}) == std::pair(std::string("third"), Revision(3)));
}

TEST_CASE("the rows of messages go as they come, however many") {
  Batch batch;
  for (int i = 0; i < 1000; ++i) {
    batch.put(Table::kQueue, std::to_string(1000 - i), "");
  }
  const AcceptedView accepted = {&batch, Revision(1)};
  std::vector<WriteView> ordered;
  CHECK_FALSE(order_writes({&accepted, 1}, ordered));
  CHECK(ordered.empty());
}

}  // namespace
}  // namespace iotcore::store
