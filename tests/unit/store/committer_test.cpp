#include "store/committer.h"

#include "tests/unit/store/engines.h"

#include <catch2/catch.hpp>

#include <condition_variable>
#include <future>
#include <mutex>
#include <string>
#include <vector>

namespace iotcore::store {
namespace {

using test::TestExecutor;

// A writer that stands still in write() until it is let go, and writes down what it was given.
class GatedWriter final : public GroupWriter {
 public:
  Result<std::optional<Revision>> revision_of(Table, std::string_view) override {
    const std::lock_guard lock(mutex_);
    if (failing_) {
      return fail(Errc::kStoreIo, "unreadable");
    }
    return std::nullopt;
  }

  Status write(std::span<const AcceptedView> group, bool sync) override {
    std::unique_lock lock(mutex_);
    entered_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
    groups_ += std::to_string(group.size()) + (sync ? "s " : "u ");
    if (failing_) {
      return fail(Errc::kStoreIo, "broken");
    }
    return {};
  }

  Status recover() override {
    const std::lock_guard lock(mutex_);
    if (failing_) {
      return fail(Errc::kStoreIo, "still broken");
    }
    return {};
  }

  Revision last_revision() override { return Revision(100); }

  void await_write() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return entered_; });
  }

  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

  void set_failing(bool failing) {
    const std::lock_guard lock(mutex_);
    failing_ = failing;
  }

  std::string groups() {
    const std::lock_guard lock(mutex_);
    return groups_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool entered_ = false;
  bool open_ = false;
  bool failing_ = false;
  std::string groups_;
};

Batch batch_of(std::size_t value_bytes = 1) {
  Batch batch;
  batch.put(Table::kQueue, "k", std::string(value_bytes, 'v'));
  return batch;
}

TEST_CASE("what is queued during a write forms the next group, completed by one post per executor"
) {
  GatedWriter writer;
  WatchList watches;
  TestExecutor a;
  TestExecutor b;
  std::vector<std::uint64_t> revisions;
  const auto done = [&](const Result<Revision>& revision) {
    revisions.push_back(number(revision.value()));
  };
  {
    Committer committer(writer, watches, {});
    committer.submit(batch_of(), &a, done);
    writer.await_write();
    for (int i = 0; i < 10; ++i) {
      committer.submit(batch_of(), i % 2 == 0 ? &a : &b, done);
    }
    CHECK(committer.health().queued_batches == 10);
    CHECK(committer.health().queued_bytes > 10);
    writer.open();
  }
  CHECK(writer.groups() == "1s 10s ");
  CHECK(a.posts() == 2);
  CHECK(b.posts() == 1);
  a.run_until([&] { return revisions.size() == 6; });
  b.run_until([&] { return revisions.size() == 11; });
  CHECK(
      revisions == std::vector<std::uint64_t>{101, 102, 104, 106, 108, 110, 103, 105, 107, 109, 111}
  );
}

TEST_CASE("an expectation that cannot be looked at is a failure, and one that is broken is not") {
  GatedWriter writer;
  WatchList watches;
  writer.open();
  Committer committer(writer, watches, {});
  const auto commit = [&](Batch batch) {
    std::promise<Errc> why;
    committer.submit(std::move(batch), nullptr, [&why](const Result<Revision>& result) {
      why.set_value(result ? Errc::kCount_ : result.error().code());
    });
    return why.get_future().get();
  };
  Batch changed;
  changed.expect_revision(Table::kQueue, "k", Revision(1));
  CHECK(commit(std::move(changed)) == Errc::kRevisionConflict);
  CHECK(committer.failures() == 0);
  writer.set_failing(true);
  Batch unreadable;
  unreadable.expect_absent(Table::kQueue, "k");
  CHECK(commit(std::move(unreadable)) == Errc::kStoreIo);
  CHECK(committer.failures() == 1);
}

TEST_CASE("a group is synced only if somebody waits for it") {
  GatedWriter writer;
  WatchList watches;
  writer.open();
  const auto ignored = [](const Result<Revision>&) {};
  {
    Committer committer(writer, watches, {});
    committer.submit(batch_of(), nullptr, nullptr);
  }
  CHECK(writer.groups() == "1u ");
  {
    Committer committer(writer, watches, {});
    committer.submit(batch_of(), nullptr, ignored);
  }
  CHECK(writer.groups() == "1u 1s ");
  {
    CommitterOptions options;
    options.sync = false;
    Committer committer(writer, watches, options);
    committer.submit(batch_of(), nullptr, ignored);
    committer.submit(Batch(), nullptr, ignored);
  }
  CHECK(writer.groups() == "1u 1s 1u ");
}

TEST_CASE("a queue that is full refuses, one batch at least is always taken") {
  GatedWriter writer;
  WatchList watches;
  CommitterOptions options;
  options.queue_bytes_max = 1000;
  options.group_bytes_max = 600;
  int committed = 0;
  int refused = 0;
  const auto done = [&](const Result<Revision>& revision) {
    if (revision) {
      ++committed;
    } else {
      CHECK(revision.error().code() == Errc::kServerBusy);
      ++refused;
    }
  };
  {
    Committer committer(writer, watches, options);
    committer.submit(batch_of(2000), nullptr, done);
    writer.await_write();
    committer.submit(batch_of(400), nullptr, done);
    committer.submit(batch_of(400), nullptr, done);
    committer.submit(batch_of(400), nullptr, done);
    CHECK(refused == 1);
    writer.open();
  }
  CHECK(committed == 3);
  CHECK(writer.groups() == "1s 1s 1s ");
}

TEST_CASE("after a failed write nothing more is written until recovery succeeds") {
  GatedWriter writer;
  WatchList watches;
  CommitterOptions options;
  options.retry_interval = std::chrono::milliseconds(1);
  std::string outcome;
  TestExecutor executor;
  const auto done = [&](const Result<Revision>& revision) {
    outcome +=
        revision ? std::to_string(number(*revision)) + " " : revision.error().message() + " ";
  };
  const auto ended = [&](std::size_t commits) {
    return [&, commits] {
      return static_cast<std::size_t>(std::count(outcome.begin(), outcome.end(), ' ')) >= commits;
    };
  };
  Committer committer(writer, watches, options);
  writer.set_failing(true);
  committer.submit(batch_of(), &executor, done);
  writer.await_write();
  committer.submit(batch_of(), &executor, done);
  writer.open();
  executor.run_until(ended(2));
  CHECK(outcome == "broken broken ");
  while (committer.health().failure->message() != "still broken") {
    std::this_thread::yield();
  }
  CHECK(writer.groups() == "1s ");
  writer.set_failing(false);
  while (committer.health().failure) {
    std::this_thread::yield();
  }
  outcome.clear();
  committer.submit(batch_of(), &executor, done);
  executor.run_until(ended(1));
  CHECK(outcome == "101 ");
}

}  // namespace
}  // namespace iotcore::store
