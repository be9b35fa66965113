#pragma once

#include "base/thread_pool.h"
#include "store/store.h"
#include "store/watch_list.h"

#include <array>
#include <map>
#include <mutex>
#include <optional>
#include <string>

namespace iotcore::store {

// Nothing outlives the process. For tests and simulation: a commit takes effect before commit()
// returns, so that a test on one thread is deterministic; completions are posted as the interface
// says, or called at once without an executor.
class MemoryStore final : public Store {
 public:
  MemoryStore();
  ~MemoryStore() override;

  Result<std::optional<Row>> get(Table table, std::string_view key) override;
  std::optional<Row> get_cached(Table table, std::string_view key) override;
  Result<std::vector<std::optional<Row>>> multi_get(Table table, std::span<const std::string> keys)
      override;
  Result<std::vector<Entry>> scan(
      Table table, std::string_view prefix, std::string_view from, std::size_t limit
  ) override;
  void commit(Batch batch, Executor* on, CommitDone done) override;
  [[nodiscard]] Watch watch(
      Table table, std::string_view prefix, Executor& on, Function<void(const Change&)> changed
  ) override;
  // There is nothing to open again.
  Status checkpoint(const std::filesystem::path& dir) override;

  Health health() const override { return {}; }
  std::uint64_t failures() const override { return 0; }

  Executor& readers() override { return readers_; }

 private:
  using Rows = std::map<std::string, Row, std::less<>>;

  std::optional<Row> find(Table table, std::string_view key) const;
  Result<Revision> apply(const Batch& batch);

  std::mutex mutex_;
  std::array<Rows, kTableCount> tables_;
  Revision last_revision_ = Revision(0);
  WatchList watches_;
  ThreadPool readers_;
};

}  // namespace iotcore::store
