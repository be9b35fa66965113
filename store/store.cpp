#include "store/store.h"

#include <future>
#include <utility>

namespace iotcore::store {

void Store::get_async(Table table, std::string key, Executor& on, ReadDone done) {
  readers().post([this, table, key = std::move(key), &on, done = std::move(done)]() mutable {
    auto row = get(table, key);
    on.post([row = std::move(row), done = std::move(done)]() mutable { done(std::move(row)); });
  });
}

void Store::scan_async(
    Table table,
    std::string prefix,
    std::string from,
    std::size_t limit,
    Executor& on,
    ScanDone done
) {
  readers().post([this,
                  table,
                  prefix = std::move(prefix),
                  from = std::move(from),
                  limit,
                  &on,
                  done = std::move(done)]() mutable {
    auto rows = scan(table, prefix, from, limit);
    on.post([rows = std::move(rows), done = std::move(done)]() mutable { done(std::move(rows)); });
  });
}

Result<Revision> Store::commit_wait(Batch batch) {
  // Shared with the completion, which may still be inside set_value() when get() returns here.
  auto promise = std::make_shared<std::promise<Result<Revision>>>();
  auto result = promise->get_future();
  commit(std::move(batch), nullptr, [promise](Result<Revision> revision) {
    promise->set_value(std::move(revision));
  });
  return result.get();
}

Status Store::wipe() {
  Batch batch;
  for (std::size_t i = 0; i < kTableCount; ++i) {
    batch.erase_prefix(Table(i), "");
  }
  IOTCORE_TRY(commit_wait(std::move(batch)));
  return {};
}

}  // namespace iotcore::store
