// The part of Owner that reads shadows from the store.
#include "base/log.h"
#include "shadow/owner.h"

#include <algorithm>
#include <utility>

namespace iotcore::shadow {
namespace {

// Shadows that one read brings: many in a burst of a fleet that has just come back, few enough for several threads to share them.
constexpr std::size_t kShadowsPerRead = 64;

}  // namespace

void Owner::load(Shadow& shadow) {
  shadow.loading = true;
  shadow.document.reset();
  shadow.tombstone.reset();
  shadow.tombstone_kept = false;
  metrics_.loading.add(1);
  to_load_.push_back(&shadow);
}

void Owner::start_loads() {
  for (std::size_t begin = 0; begin < to_load_.size(); begin += kShadowsPerRead) {
    const std::size_t end = std::min(begin + kShadowsPerRead, to_load_.size());
    std::vector<Shadow*> shadows(
        to_load_.begin() + static_cast<std::ptrdiff_t>(begin),
        to_load_.begin() + static_cast<std::ptrdiff_t>(end)
    );
    std::vector<std::string> keys;
    keys.reserve(shadows.size() * 2);
    for (const Shadow* shadow : shadows) {
      keys.push_back(document_key(shadow->thing, shadow->name));
      keys.push_back(tombstone_key(shadow->thing, shadow->name));
    }
    store::Store& store = broker_.store();
    Executor& executor = broker_.workers().executor(worker_);
    store.readers().post(
        [this, &store, &executor, shadows = std::move(shadows), keys = std::move(keys)]() mutable {
          executor.post([this,
                         shadows = std::move(shadows),
                         rows = store.multi_get(store::Table::kShadows, keys)]() mutable {
            loaded(shadows, std::move(rows));
          });
        }
    );
  }
  to_load_.clear();
}

void Owner::loaded(const std::vector<Shadow*>& shadows, Rows rows) {
  for (std::size_t i = 0; i < shadows.size(); ++i) {
    Shadow& shadow = *shadows[i];
    metrics_.loading.add(-1);
    if (std::exchange(shadow.doubtful, false)) {
      load(shadow);  // what has been read is of before
      continue;
    }
    Status status = rows ? fill(shadow, (*rows)[2 * i], (*rows)[2 * i + 1])
                         : Status(fail(std::move(rows.error())));
    if (!status) {
      log(LogLevel::kError,
          "shadow.unreadable",
          {{"thing", shadow.thing}, {"shadow", shadow.name}, {"why", status.error().message()}});
    }
    shadow.loading = false;
    serve_waiting(shadow, status);
  }
  finish_turn();
}

Status Owner::fill(
    Shadow& shadow,
    const std::optional<store::Row>& document,
    const std::optional<store::Row>& tombstone
) {
  if (document) {
    IOTCORE_ASSIGN(shadow.document, document::Document::decode(document->value));
  }
  if (tombstone) {
    shadow.tombstone_kept = true;
    IOTCORE_ASSIGN(shadow.tombstone, decode_tombstone(tombstone->value));
  }
  return {};
}

void Owner::serve_waiting(Shadow& shadow, const Status& status) {
  const std::unique_ptr<std::deque<Request>> waiting = std::move(shadow.waiting);
  if (!status) {
    cache_.erase(shadow);
  }
  for (Request& request : *waiting) {
    waiting_bytes_ -= request.bytes();
    if (status) {
      apply(shadow, std::move(request));
    } else {
      // Why is for the operator.
      refuse(std::move(request), {status.error().code(), "Internal service failure"});
    }
  }
}

}  // namespace iotcore::shadow
