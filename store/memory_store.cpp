#include "store/memory_store.h"

#include "store/expectation.h"

#include <algorithm>
#include <utility>

namespace iotcore::store {

MemoryStore::MemoryStore() : readers_("store-read", 1) {}

MemoryStore::~MemoryStore() = default;

Result<std::optional<Row>> MemoryStore::get(Table table, std::string_view key) {
  const std::lock_guard lock(mutex_);
  return find(table, key);
}

std::optional<Row> MemoryStore::get_cached(Table table, std::string_view key) {
  const std::lock_guard lock(mutex_);
  return find(table, key);
}

Result<std::vector<std::optional<Row>>> MemoryStore::multi_get(
    Table table, std::span<const std::string> keys
) {
  const std::lock_guard lock(mutex_);
  std::vector<std::optional<Row>> rows;
  rows.reserve(keys.size());
  for (const std::string& key : keys) {
    rows.push_back(find(table, key));
  }
  return rows;
}

Result<std::vector<Entry>> MemoryStore::scan(
    Table table, std::string_view prefix, std::string_view from, std::size_t limit
) {
  const std::lock_guard lock(mutex_);
  std::vector<Entry> entries;
  const Rows& rows = tables_[index(table)];
  for (auto row = rows.lower_bound(std::max(prefix, from));
       row != rows.end() && row->first.starts_with(prefix) && entries.size() < limit;
       ++row) {
    entries.push_back({row->first, row->second.value, row->second.revision});
  }
  return entries;
}

void MemoryStore::commit(Batch batch, Executor* on, CommitDone done) {
  auto result = apply(batch);
  if (!done) {
    return;
  }
  if (on == nullptr) {
    done(std::move(result));
    return;
  }
  on->post([result = std::move(result), done = std::move(done)]() mutable {
    done(std::move(result));
  });
}

Watch MemoryStore::watch(
    Table table, std::string_view prefix, Executor& on, Function<void(const Change&)> changed
) {
  return watches_.add(table, prefix, on, std::move(changed));
}

Status MemoryStore::checkpoint(const std::filesystem::path& /*dir*/) {
  return fail(Errc::kNotImplemented, "a store in memory cannot be copied to disk");
}

std::optional<Row> MemoryStore::find(Table table, std::string_view key) const {
  const Rows& rows = tables_[index(table)];
  const auto row = rows.find(key);
  return row == rows.end() ? std::nullopt : std::optional<Row>(row->second);
}

Result<Revision> MemoryStore::apply(const Batch& batch) {
  const std::lock_guard lock(mutex_);
  IOTCORE_TRY(check_expectations(
      batch,
      [this](Table table, std::string_view key) -> Result<std::optional<Revision>> {
        const auto row = tables_[index(table)].find(key);
        return row == tables_[index(table)].end() ? std::nullopt
                                                  : std::optional<Revision>(row->second.revision);
      }
  ));
  if (batch.writes() == 0) {
    return last_revision_;
  }
  const Revision revision = Revision(number(last_revision_) + 1);
  batch.for_each([&](const OperationView& operation) {
    Rows& rows = tables_[index(operation.table)];
    switch (operation.kind) {
      case OperationView::Kind::kPut:
        rows.insert_or_assign(
            std::string(operation.key), Row{std::string(operation.value), revision}
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
  last_revision_ = revision;
  // Under the lock, so that watches hear of commits in their order; posting runs nothing.
  const AcceptedView accepted = {&batch, revision};
  watches_.notify({&accepted, 1});
  return revision;
}

}  // namespace iotcore::store
