#include "store/store.h"

#include <future>
#include <utility>

namespace iotcore::store {

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
