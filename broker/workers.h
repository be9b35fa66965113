#pragma once

#include "base/executor.h"
#include "base/ids.h"

#include <cstddef>
#include <string_view>

namespace iotcore::broker {

class WorkerBroker;

// The worker threads as broker and services see them. Any thread.
class Workers {
 public:
  virtual ~Workers() = default;
  virtual std::size_t count() const = 0;
  // Runs tasks on that worker, in the order in which one thread posts them.
  virtual Executor& executor(WorkerId id) = 0;
  // Use only on that worker.
  virtual WorkerBroker& broker(WorkerId id) = 0;
  // Threads for blocking work: store reads, files, key generation.
  virtual Executor& blocking() = 0;

  // The worker that owns the session of that client, or the thing of that name: one hash for both (design 2).
  WorkerId owner_of(std::string_view client_or_thing) const {
    return static_cast<WorkerId>(stable_hash(client_or_thing) % count());
  }
};

}  // namespace iotcore::broker
