#pragma once

#include "store/memory_store.h"
#include "tests/unit/broker/broker_fixture.h"

#include <string>
#include <utility>
#include <vector>

namespace iotcore::conformance {

// A store in memory whose asynchronous reads are done when the test says so, by its own thread: without the two switches of threads that each turn would cost.
class TurnStore final : public store::Store {
 public:
  Result<std::optional<store::Row>> get(store::Table table, std::string_view key) override {
    return inner_.get(table, key);
  }

  Result<std::vector<std::optional<store::Row>>> multi_get(
      store::Table table, std::span<const std::string> keys
  ) override {
    return inner_.multi_get(table, keys);
  }

  Result<std::vector<store::Entry>> scan(
      store::Table table, std::string_view prefix, std::string_view from, std::size_t limit
  ) override {
    return inner_.scan(table, prefix, from, limit);
  }

  void commit(store::Batch batch, Executor* on, store::CommitDone done) override {
    inner_.commit(std::move(batch), on, std::move(done));
  }

  [[nodiscard]] store::Watch watch(
      store::Table table,
      std::string_view prefix,
      Executor& on,
      Function<void(const store::Change&)> changed
  ) override {
    return inner_.watch(table, prefix, on, std::move(changed));
  }

  Status checkpoint(const std::filesystem::path& dir) override { return inner_.checkpoint(dir); }

  store::Health health() const override { return inner_.health(); }
  std::uint64_t failures() const override { return inner_.failures(); }

  Executor& readers() override { return readers_; }

  void run_reads() { readers_.run(); }

 private:
  store::MemoryStore inner_;
  broker::test::QueueExecutor readers_;
};

}  // namespace iotcore::conformance
