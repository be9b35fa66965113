#pragma once

#include "store/store.h"
#include "store/watch_list.h"
#include "tests/unit/broker/random.h"

#include <array>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace iotcore::simulation {

// Runs what it is given when it is told to, in the order in which it came.
class StepExecutor final : public Executor {
 public:
  void post(Function<void()> task) override { tasks_.push_back(std::move(task)); }

  bool empty() const { return tasks_.empty(); }

  std::size_t size() const { return tasks_.size(); }

  // False if there was nothing to run.
  bool run_one() {
    if (tasks_.empty()) {
      return false;
    }
    Function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    task();
    return true;
  }

 private:
  std::deque<Function<void()>> tasks_;
};

// A store that writes when it is told to, fails when it is told to, and forgets in a crash what it had not promised. It keeps the contract of
// Store and nothing beyond it. Outlives the server that uses it: crash() and then the next one.
class SimulatedStore final : public store::Store {
 public:
  // The next so many commits of the queue become one group: written, synced if somebody waits, and completed.
  void write_group(std::size_t count);
  // The next group fails: a random leading part of it is there all the same (Store says "may or may not"). Every commit fails from then on, until mend().
  void fail_group(std::size_t count, broker::Random& random);

  void mend() { failure_.reset(); }

  bool is_broken() const { return failure_.has_value(); }

  std::size_t queued() const { return queue_.size(); }

  // The process dies: of what was not promised, a random leading part is on the disk. Commits of the dying process go nowhere until restarted().
  void crash(broker::Random& random);

  void restarted() { down_ = false; }

  // What would be there after a crash now.
  bool is_durable(store::Table table, std::string_view key) const {
    return durable_[store::index(table)].contains(key);
  }

  Result<std::optional<store::Row>> get(store::Table table, std::string_view key) override;

  std::optional<store::Row> get_cached(store::Table table, std::string_view key) override {
    return find(table, key);
  }

  Result<std::vector<std::optional<store::Row>>> multi_get(
      store::Table table, std::span<const std::string> keys
  ) override;
  Result<std::vector<store::Entry>> scan(
      store::Table table, std::string_view prefix, std::string_view from, std::size_t limit
  ) override;
  void commit(store::Batch batch, Executor* on, store::CommitDone done) override;

  [[nodiscard]] store::Watch watch(
      store::Table table,
      std::string_view prefix,
      Executor& on,
      Function<void(const store::Change&)> changed
  ) override {
    return watches_.add(table, prefix, on, std::move(changed));
  }

  Status checkpoint(const std::filesystem::path& /*dir*/) override {
    return fail(Errc::kNotImplemented, "a simulated store cannot be copied");
  }

  store::Health health() const override { return {failure_, queue_.size(), 0}; }

  std::uint64_t failures() const override { return failures_; }

  Executor& readers() override { return readers_; }

  StepExecutor& reads() { return readers_; }

 private:
  using Rows = std::map<std::string, store::Row, std::less<>>;
  using Tables = std::array<Rows, store::kTableCount>;

  struct Pending {
    store::Batch batch;
    Executor* on;
    store::CommitDone done;
  };

  static void complete(Pending& commit, Result<store::Revision> result);
  std::optional<store::Row> find(store::Table table, std::string_view key) const;
  Result<store::Revision> apply(store::Batch&& batch);
  void apply_to(Tables& tables, const store::Batch& batch, store::Revision revision);
  void sync(std::size_t count);

  struct Unsynced {
    store::Batch batch;
    store::Revision revision;
  };

  Tables rows_;     // what readers see
  Tables durable_;  // what outlives a crash for certain
  std::deque<Unsynced> unsynced_;
  std::deque<Pending> queue_;
  std::optional<Error> failure_;
  std::uint64_t failures_ = 0;
  bool down_ = false;
  store::Revision last_revision_ = store::Revision(0);
  store::WatchList watches_;
  StepExecutor readers_;
};

}  // namespace iotcore::simulation
