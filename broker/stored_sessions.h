#pragma once

#include "base/ids.h"
#include "base/result.h"
#include "broker/session_rows.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

namespace iotcore::store {
class Batch;
class Store;
}  // namespace iotcore::store

namespace iotcore::broker {

class Broker;

// What the workers share about persistent sessions: numbers for sessions and bodies, and how many sessions each worker has. Any thread.
class StoredSessions {
 public:
  explicit StoredSessions(std::size_t workers) : per_worker_(workers) {}

  // Reads every session and hands it to its worker. Once, before the first client and before the workers run.
  Status load(Broker& broker);

  SessionNumber next_session() { return next_session_.fetch_add(1, std::memory_order_relaxed); }

  std::uint64_t next_body() { return next_body_.fetch_add(1, std::memory_order_relaxed); }

  // Persistent sessions that live on that worker, connected or not. A session counts before its first subscription is in the topic tree, so
  // whoever has matched one of them sees it here.
  std::size_t count(WorkerId worker) const {
    return per_worker_[index(worker)].sessions.load(std::memory_order_acquire);
  }

  std::size_t count() const;

  void add(WorkerId worker) { per_worker_[index(worker)].sessions.fetch_add(1); }

  void remove(WorkerId worker) { per_worker_[index(worker)].sessions.fetch_sub(1); }

  // One reference less to a body that was found at start, whose queues may be on several workers; the last one erases it. False if it is a
  // younger one.
  bool release_body(std::uint64_t body, store::Batch& batch);

 private:
  // A line each: publishers on other workers read it.
  struct alignas(64) PerWorker {
    std::atomic<std::size_t> sessions = 0;
  };

  class Loader;

  std::vector<PerWorker> per_worker_;
  std::atomic<SessionNumber> next_session_ = 1;
  std::atomic<std::uint64_t> next_body_ = 1;
  // The keys do not change after load().
  std::unordered_map<std::uint64_t, std::atomic<std::uint32_t>> old_bodies_;
};

}  // namespace iotcore::broker
