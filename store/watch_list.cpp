#include "store/watch_list.h"

#include "store/keys.h"

#include <algorithm>
#include <optional>

namespace iotcore::store {
namespace {

// What the operation means to one who watches a prefix.
std::optional<Change> change_under(
    std::string_view prefix, const OperationView& operation, Revision revision
) {
  switch (operation.kind) {
    case OperationView::Kind::kPut:
    case OperationView::Kind::kErase: {
      if (!operation.key.starts_with(prefix)) {
        return std::nullopt;
      }
      const bool put = operation.kind == OperationView::Kind::kPut;
      Change change{
          put ? Change::Kind::kPut : Change::Kind::kErased,
          std::string(operation.key),
          {},
          {},
          revision};
      if (put && operation.value.size() <= kChangeValueBytesMax) {
        change.value = operation.value;
      }
      return change;
    }
    case OperationView::Kind::kEraseRange: {
      std::string from(std::max(operation.key, prefix));
      std::string end = std::min(std::string(operation.value), prefix_end(prefix));
      if (from >= end) {
        return std::nullopt;
      }
      return Change{Change::Kind::kRangeErased, std::move(from), std::move(end), {}, revision};
    }
    case OperationView::Kind::kExpectAbsent:
    case OperationView::Kind::kExpectRevision:
      return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

Watch::Watch(std::shared_ptr<Registration> registration) : registration_(std::move(registration)) {}

Watch& Watch::operator=(Watch&& other) noexcept {
  std::swap(registration_, other.registration_);
  return *this;
}

Watch::~Watch() {
  if (registration_ != nullptr) {
    registration_->live = false;
  }
}

Watch WatchList::add(
    Table table, std::string_view prefix, Executor& on, Function<void(const Change&)> changed
) {
  auto registration = std::make_shared<Watch::Registration>();
  registration->table = table;
  registration->prefix = prefix;
  registration->on = &on;
  registration->changed = std::move(changed);
  {
    const std::lock_guard lock(mutex_);
    drop_dead(table);
    tables_[index(table)].push_back(registration);
    ++counts_[index(table)];
  }
  return Watch(std::move(registration));
}

void WatchList::notify(std::span<const AcceptedView> commits) {
  std::vector<Delivery> deliveries;
  std::unique_lock lock(mutex_, std::defer_lock);
  for (const AcceptedView& commit : commits) {
    commit.batch->for_each([&](const OperationView& operation) {
      if (counts_[index(operation.table)].load(std::memory_order_relaxed) == 0) {
        return;
      }
      // Once for all rows of a group, of which a fleet's has ten thousands.
      if (!lock.owns_lock()) {
        lock.lock();
        for (std::size_t table = 0; table < kTableCount; ++table) {
          drop_dead(Table(table));
        }
      }
      collect(operation, commit.revision, deliveries);
    });
  }
  if (lock.owns_lock()) {
    lock.unlock();
  }
  for (Delivery& delivery : deliveries) {
    Executor* on = delivery.to->on;
    on->post([delivery = std::move(delivery)] {
      for (const Change& change : delivery.changes) {
        if (delivery.to->live) {
          delivery.to->changed(change);
        }
      }
    });
  }
}

void WatchList::collect(
    const OperationView& operation, Revision revision, std::vector<Delivery>& deliveries
) {
  for (const auto& registration : tables_[index(operation.table)]) {
    std::optional<Change> change = change_under(registration->prefix, operation, revision);
    if (!change) {
      continue;
    }
    auto delivery = std::find_if(deliveries.begin(), deliveries.end(), [&](const Delivery& d) {
      return d.to == registration;
    });
    if (delivery == deliveries.end()) {
      deliveries.push_back({registration, {}});
      delivery = std::prev(deliveries.end());
    }
    delivery->changes.push_back(std::move(*change));
  }
}

void WatchList::drop_dead(Table table) {
  const auto dropped = std::erase_if(tables_[index(table)], [](const auto& registration) {
    return !registration->live;
  });
  counts_[index(table)] -= static_cast<std::uint32_t>(dropped);
}

}  // namespace iotcore::store
