#pragma once

#include "store/forwarding_store.h"

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

namespace iotcore::store {

// A store that can be made to fail and to dawdle: for tests of those who must not acknowledge too
// early. Wraps any engine, which outlives it.
class FaultStore final : public ForwardingStore {
 public:
  explicit FaultStore(Store& inner) : ForwardingStore(inner) {}

  // From now on every commit fails with `error`, as after a failed write; mend() ends it.
  void break_writes(Error error);
  // From now on every scan fails with `error`; mend() ends it.
  void break_reads(Error error);
  void mend();
  // From now on commits wait, in their order, until release(). Destroyed while holding, it drops
  // them: a crash before the write.
  void hold();
  void release();
  std::size_t held() const;

  Result<std::vector<Entry>> scan(
      Table table, std::string_view prefix, std::string_view from, std::size_t limit
  ) override;

  void commit(Batch batch, Executor* on, CommitDone done) override;
  Health health() const override;

  std::uint64_t failures() const override { return inner().failures() + failures_.load(); }

 private:
  struct Held {
    Batch batch;
    Executor* on;
    CommitDone done;
  };

  mutable std::mutex mutex_;
  std::optional<Error> failure_;
  std::optional<Error> read_failure_;
  std::atomic<std::uint64_t> failures_ = 0;
  bool holding_ = false;
  std::vector<Held> held_;
};

}  // namespace iotcore::store
