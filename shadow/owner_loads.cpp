// The part of Owner that reads shadows from the store.
#include "base/log.h"
#include "shadow/owner.h"
#include "shadow/rows.h"

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
    std::vector<ShadowId> ids;
    ids.reserve(shadows.size());
    for (const Shadow* shadow : shadows) {
      ids.push_back({ThingName(shadow->thing), ShadowName(shadow->name)});
    }
    Executor& executor = broker_.workers().executor(worker_);
    broker_.store().readers().post(
        [this, &executor, shadows = std::move(shadows), ids = std::move(ids)]() mutable {
          executor.post([this, shadows = std::move(shadows), read = read(ids)]() mutable {
            loaded(shadows, std::move(read));
          });
        }
    );
  }
  to_load_.clear();
}

Result<Owner::Loaded> Owner::read(const std::vector<ShadowId>& ids) const {
  std::vector<std::string> keys;
  std::vector<std::string> things;
  keys.reserve(ids.size() * 2);
  things.reserve(ids.size());
  for (const ShadowId& id : ids) {
    keys.push_back(document_key(id.thing.view(), id.shadow.view()));
    keys.push_back(tombstone_key(id.thing.view(), id.shadow.view()));
    things.push_back(id.thing.str());
  }
  Loaded loaded;
  IOTCORE_ASSIGN(loaded.settings, settings_.of(things));
  IOTCORE_ASSIGN(loaded.rows, broker_.store().multi_get(store::Table::kShadows, keys));
  loaded.history_excess.resize(ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::optional<store::Row>& document = loaded.rows[2 * i];
    if (document && loaded.settings[i]->history_versions != 0) {
      IOTCORE_ASSIGN(
          loaded.history_excess[i], has_history_excess(ids[i], *document, *loaded.settings[i])
      );
    }
  }
  return loaded;
}

Result<bool> Owner::has_history_excess(
    const ShadowId& id, const store::Row& document, const ShadowSettings& settings
) const {
  IOTCORE_ASSIGN(const auto current, document::Document::decode(document.value));
  if (current.version() <= settings.history_versions) {
    return false;
  }
  IOTCORE_ASSIGN(
      const auto rows,
      broker_.store().scan(
          store::Table::kShadows,
          history_of(id.thing.view(), id.shadow.view()),
          history_key(
              id.thing.view(), id.shadow.view(), current.version() - settings.history_versions
          ),
          1
      )
  );
  return !rows.empty();
}

void Owner::loaded(const std::vector<Shadow*>& shadows, Result<Loaded> read) {
  for (std::size_t i = 0; i < shadows.size(); ++i) {
    Shadow& shadow = *shadows[i];
    metrics_.loading.add(-1);
    if (std::exchange(shadow.doubtful, false)) {
      load(shadow);  // what has been read is of before
      continue;
    }
    Status status =
        read ? fill(shadow, read->rows[2 * i], read->rows[2 * i + 1]) : Status(fail(read.error()));
    if (!status) {
      log(LogLevel::kError,
          "shadow.unreadable",
          {{"thing", shadow.thing}, {"shadow", shadow.name}, {"why", status.error().message()}});
    } else {
      shadow.settings = read->settings[i];
      shadow.history_excess = read->history_excess[i];
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
    if (shadow.look) {
      // Its time has come, and what there is to tell is not known yet.
      constexpr std::int64_t kRetryS = 60;
      watch_list_.plan_again(shadow.prefix, now_s() + kRetryS);
    }
    cache_.erase(shadow);
  } else if (std::exchange(shadow.look, false)) {
    look(shadow);
  }
  if (waiting == nullptr) {
    return;
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
