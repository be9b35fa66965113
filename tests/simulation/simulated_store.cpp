#include "tests/simulation/simulated_store.h"

#include "store/expectation.h"

#include <algorithm>
#include <utility>

namespace iotcore::simulation {

using store::Batch;
using store::OperationView;
using store::Revision;
using store::Table;

std::optional<store::Row> SimulatedStore::find(Table table, std::string_view key) const {
  const Rows& rows = rows_[store::index(table)];
  const auto row = rows.find(key);
  return row == rows.end() ? std::nullopt : std::optional<store::Row>(row->second);
}

Result<std::optional<store::Row>> SimulatedStore::get(Table table, std::string_view key) {
  return find(table, key);
}

Result<std::vector<std::optional<store::Row>>> SimulatedStore::multi_get(
    Table table, std::span<const std::string> keys
) {
  std::vector<std::optional<store::Row>> rows;
  rows.reserve(keys.size());
  for (const std::string& key : keys) {
    rows.push_back(find(table, key));
  }
  return rows;
}

Result<std::vector<store::Entry>> SimulatedStore::scan(
    Table table, std::string_view prefix, std::string_view from, std::size_t limit
) {
  std::vector<store::Entry> entries;
  const Rows& rows = rows_[store::index(table)];
  for (auto row = rows.lower_bound(std::max(prefix, from));
       row != rows.end() && row->first.starts_with(prefix) && entries.size() < limit;
       ++row) {
    entries.push_back({row->first, row->second.value, row->second.revision});
  }
  return entries;
}

void SimulatedStore::commit(Batch batch, Executor* on, store::CommitDone done) {
  if (down_) {
    return;
  }
  const bool somebody_blocks = on == nullptr && done;
  queue_.push_back({std::move(batch), on, std::move(done)});
  if (somebody_blocks) {
    write_group(queue_.size());
  }
}

void SimulatedStore::complete(Pending& commit, Result<Revision> result) {
  if (!commit.done) {
    return;
  }
  if (commit.on == nullptr) {
    commit.done(std::move(result));
    return;
  }
  commit.on->post([done = std::move(commit.done), result = std::move(result)]() mutable {
    done(std::move(result));
  });
}

void SimulatedStore::apply_to(Tables& tables, const Batch& batch, Revision revision) {
  batch.for_each([&](const OperationView& operation) {
    Rows& rows = tables[store::index(operation.table)];
    switch (operation.kind) {
      case OperationView::Kind::kPut:
        rows.insert_or_assign(
            std::string(operation.key), store::Row{std::string(operation.value), revision}
        );
        break;
      case OperationView::Kind::kErase:
        if (const auto row = rows.find(operation.key); row != rows.end()) {
          rows.erase(row);
        }
        break;
      case OperationView::Kind::kEraseRange:
        rows.erase(rows.lower_bound(operation.key), rows.lower_bound(operation.value));
        break;
      case OperationView::Kind::kExpectAbsent:
      case OperationView::Kind::kExpectRevision:
        break;
    }
  });
}

Result<Revision> SimulatedStore::apply(Batch&& batch) {
  IOTCORE_TRY(store::check_expectations(
      batch,
      [this](Table table, std::string_view key) -> Result<std::optional<Revision>> {
        const auto row = find(table, key);
        return row ? std::optional<Revision>(row->revision) : std::nullopt;
      }
  ));
  last_revision_ = Revision(store::number(last_revision_) + 1);
  apply_to(rows_, batch, last_revision_);
  const store::AcceptedView accepted = {&batch, last_revision_};
  watches_.notify({&accepted, 1});
  unsynced_.push_back({std::move(batch), last_revision_});
  return last_revision_;
}

void SimulatedStore::sync(std::size_t count) {
  for (; count > 0; --count) {
    apply_to(durable_, unsynced_.front().batch, unsynced_.front().revision);
    unsynced_.pop_front();
  }
}

void SimulatedStore::write_group(std::size_t count) {
  std::vector<std::pair<Pending, Result<Revision>>> group;
  bool anybody_waits = false;
  for (; count > 0 && !queue_.empty(); --count) {
    Pending next = std::move(queue_.front());
    queue_.pop_front();
    anybody_waits = anybody_waits || next.done;
    failures_ += failure_ ? 1 : 0;
    auto result = failure_ ? Result<Revision>(fail(*failure_)) : apply(std::move(next.batch));
    group.emplace_back(std::move(next), std::move(result));
  }
  if (anybody_waits) {
    sync(unsynced_.size());
  }
  for (auto& [commit, result] : group) {
    complete(commit, std::move(result));
  }
}

void SimulatedStore::fail_group(std::size_t count, broker::Random& random) {
  count = std::min(count, queue_.size());
  const std::size_t written = random.below(static_cast<unsigned>(count) + 1);
  failure_ = Error(Errc::kStoreIo, "the simulated disk failed");
  ++failures_;
  for (std::size_t i = 0; i < count; ++i) {
    Pending next = std::move(queue_.front());
    queue_.pop_front();
    if (i < written) {
      ignore_error(apply(std::move(next.batch)), "it is reported as failed in any case");
    }
    complete(next, fail(*failure_));
  }
}

void SimulatedStore::crash(broker::Random& random) {
  down_ = true;
  std::size_t written = random.below(static_cast<unsigned>(queue_.size()) + 1);
  std::deque<Pending> lost = std::exchange(queue_, {});
  for (Pending& commit : lost) {
    if (written > 0 && !failure_) {
      --written;
      ignore_error(apply(std::move(commit.batch)), "nobody is left to hear of it");
    }
  }
  sync(random.below(static_cast<unsigned>(unsynced_.size()) + 1));
  unsynced_.clear();
  rows_ = durable_;
  failure_.reset();
}

}  // namespace iotcore::simulation
