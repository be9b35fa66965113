#pragma once

#include "store/batch.h"
#include "store/store.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace iotcore::store {

// A batch that is part of a commit, with the revision of that commit.
struct AcceptedView {
  const Batch* batch;
  Revision revision;
};

struct Watch::Registration {
  Table table;
  std::string prefix;
  Executor* on;
  Function<void(const Change&)> changed;
  std::atomic<bool> live = true;
};

// Who watches what. add() on any thread; notify() by one thread at a time. Tables that nobody
// watches cost one load.
class WatchList {
 public:
  Watch add(
      Table table, std::string_view prefix, Executor& on, Function<void(const Change&)> changed
  );

  // One post per watch that is concerned, with its changes in order.
  void notify(std::span<const AcceptedView> commits);

 private:
  using Registrations = std::vector<std::shared_ptr<Watch::Registration>>;

  struct Delivery {
    std::shared_ptr<Watch::Registration> to;
    std::vector<Change> changes;
  };

  // Under the lock, as what follows.
  void collect(
      const OperationView& operation, Revision revision, std::vector<Delivery>& deliveries
  );
  void drop_dead(Table table);

  std::array<std::atomic<std::uint32_t>, kTableCount> counts_ = {};
  std::mutex mutex_;
  std::array<Registrations, kTableCount> tables_;
};

}  // namespace iotcore::store
