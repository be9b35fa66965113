#include "store/keys.h"
#include "store/rocksdb_store.h"
#include "tests/unit/store/engines.h"

#include <catch2/catch.hpp>

#include <array>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <map>
#include <random>
#include <signal.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

// What the engine on disk keeps when the process ends, in whatever way.
namespace iotcore::store {
namespace {

using test::Fault;
using test::FaultEnv;
using test::TempDir;
namespace fs = std::filesystem;

std::unique_ptr<Store> open(const fs::path& dir, const RocksDbOptions& options = {}) {
  return open_rocksdb_store(dir, options).value();
}

Result<Revision> put(Store& store, std::string_view key, std::string_view value) {
  Batch batch;
  batch.put(Table::kSystem, key, value);
  return store.commit_wait(std::move(batch));
}

bool has(Store& store, std::string_view key) {
  return store.get(Table::kSystem, key).value().has_value();
}

// What a killed process leaves behind: its files as the operating system has them.
fs::path crash_image(const fs::path& dir) {
  fs::path copy = dir;
  copy += "-image";
  fs::remove_all(copy);
  fs::copy(dir, copy, fs::copy_options::recursive);
  fs::remove(copy / "LOCK");
  return copy;
}

fs::path newest_log(const fs::path& dir) {
  fs::path newest;
  for (const auto& entry : fs::directory_iterator(dir)) {
    if (entry.path().extension() == ".log" && entry.path() > newest) {
      newest = entry.path();
    }
  }
  return newest;
}

TEST_CASE("a read that may not block leaves to others what only the disk knows") {
  const TempDir dir;
  Revision revision = Revision(0);
  {
    const auto store = open(dir / "db");
    revision = put(*store, "k", "v").value();
    CHECK(store->get_cached(Table::kSystem, "k").value().value == "v");
  }
  const auto store = open(dir / "db");
  CHECK_FALSE(store->get_cached(Table::kSystem, "k"));
  CHECK(store->get(Table::kSystem, "k").value()->value == "v");
  const auto found = store->get_cached(Table::kSystem, "k");  // the block is in memory now
  REQUIRE(found);
  CHECK(found->value == "v");
  CHECK(found->revision == revision);
  REQUIRE(put(*store, "k", "w"));
  CHECK(store->get_cached(Table::kSystem, "k").value().value == "w");
}

TEST_CASE("a stop and a start change nothing but go on with higher revisions") {
  const auto durability = GENERATE(Durability::kSync, Durability::kOs, Durability::kMemory);
  const TempDir dir;
  RocksDbOptions options;
  options.durability = durability;
  Revision last = Revision(0);
  for (int start = 0; start < 3; ++start) {
    const auto store = open(dir / "db", options);
    CHECK(
        store->scan(Table::kSystem, "", "", 100).value().size() ==
        static_cast<std::size_t>(start) * 10
    );
    for (int i = 0; i < 10; ++i) {
      const Revision revision =
          put(*store, "k" + std::to_string(start) + std::to_string(i), "v").value();
      CHECK(number(revision) > number(last));
      last = revision;
    }
    CHECK(store->get(Table::kSystem, "k" + std::to_string(start) + "9").value()->revision == last);
  }
}

TEST_CASE("destroying the store commits what is queued, awaited or not") {
  const TempDir dir;
  int completed = 0;
  {
    const auto store = open(dir / "db");
    for (int i = 0; i < 100; ++i) {
      Batch batch;
      batch.put(Table::kQueue, Key('q').u64(static_cast<std::uint64_t>(i)), "v");
      store->commit(
          std::move(batch),
          nullptr,
          i % 2 == 0 ? CommitDone([&](const Result<Revision>&) { ++completed; }) : CommitDone()
      );
    }
  }
  CHECK(completed == 50);
  CHECK(open(dir / "db")->scan(Table::kQueue, "q", "", 1000).value().size() == 100);
}

TEST_CASE("what was acknowledged around a failed write survives a crash after it") {
  const Fault fault = GENERATE(Fault::kFull, Fault::kSyncFails);
  const TempDir dir;
  FaultEnv env;
  RocksDbOptions options;
  options.env = env.env();
  options.retry_interval = std::chrono::milliseconds(1);
  const auto store = open(dir / "db", options);
  for (int round = 0; round < 3; ++round) {
    const std::string name = std::to_string(round);
    REQUIRE(put(*store, "before" + name, "v"));
    env.set(fault);
    REQUIRE_FALSE(put(*store, "during" + name, std::string(5000, 'v')));
    env.set(Fault::kNone);
    while (store->health().failure) {
      std::this_thread::yield();
    }
    REQUIRE(put(*store, "after" + name, "v"));
    const auto image = open(crash_image(dir / "db"));
    for (int i = 0; i <= round; ++i) {
      CHECK(has(*image, "before" + std::to_string(i)));
      CHECK(has(*image, "after" + std::to_string(i)));
    }
    const auto revision_in = [&](Store& in) {
      return in.get(Table::kSystem, "after" + name).value()->revision;
    };
    CHECK(revision_in(*image) == revision_in(*store));
    CHECK(number(put(*image, "next", "v").value()) > number(revision_in(*image)));
  }
}

TEST_CASE("a log that breaks off at its end opens; one damaged before its end is refused") {
  const TempDir dir;
  const auto store = open(dir / "db");
  for (int i = 0; i < 50; ++i) {
    REQUIRE(put(*store, "k" + std::to_string(i), std::string(100, 'v')));
  }
  const fs::path image = crash_image(dir / "db");
  const fs::path log = newest_log(image);
  const auto size = fs::file_size(log);

  SECTION("broken off") {
    fs::resize_file(log, size - 20);
    const auto opened = open(image);
    CHECK(has(*opened, "k48"));
    CHECK_FALSE(has(*opened, "k49"));
  }
  SECTION("damaged") {
    std::fstream file(log, std::ios::in | std::ios::out | std::ios::binary);
    const std::string content((std::istreambuf_iterator<char>(file)), {});
    file.seekp(static_cast<std::streamoff>(content.find("k25")));
    file.write("!", 1);
    file.close();
    const auto refused = open_rocksdb_store(image, {});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == Errc::kStoreCorrupt);
    RocksDbOptions salvage;
    salvage.salvage = true;
    const auto opened = open(image, salvage);
    CHECK(has(*opened, "k0"));
    CHECK_FALSE(has(*opened, "k49"));
  }
}

TEST_CASE("a checkpoint is a store of its own") {
  const TempDir dir;
  const auto store = open(dir / "db");
  REQUIRE(put(*store, "a", "1"));
  REQUIRE(store->checkpoint(dir / "copy"));
  CHECK_FALSE(store->checkpoint(dir / "copy"));
  REQUIRE(put(*store, "b", "2"));
  const auto copy = open(dir / "copy");
  CHECK(has(*copy, "a"));
  CHECK_FALSE(has(*copy, "b"));
}

TEST_CASE("a folder that another store has open, or that cannot be, is refused") {
  const TempDir dir;
  const auto store = open(dir / "db");
  CHECK(open_rocksdb_store(dir / "db", {}).error().code() == Errc::kStoreIo);
  std::ofstream(dir / "file") << "x";
  CHECK(open_rocksdb_store(dir / "file" / "db", {}).error().code() == Errc::kStoreIo);
}

// The kill test: a child process commits numbered records, two rows each, and writes the number of
// each acknowledged one to a pipe; it is killed at a random acknowledgement.
constexpr std::size_t kChildThreads = 3;

struct Acknowledged {
  std::uint64_t thread;
  std::uint64_t number;
};

std::uint64_t count_of(Store& store, std::uint64_t thread) {
  const std::string prefix = Key('n').u64(thread).take();
  return store.scan(Table::kQueue, prefix, "", SIZE_MAX).value().size();
}

// Run as a process of its own by the test below.
TEST_CASE("child that is to be killed", "[.child]") {
  const char* dir = std::getenv("IOTCORE_TEST_DIR");
  const char* pipe = std::getenv("IOTCORE_TEST_PIPE");
  REQUIRE((dir != nullptr && pipe != nullptr));
  const int fd = std::atoi(pipe);
  const auto store = open(dir);
  std::vector<std::thread> threads;
  for (std::uint64_t thread = 0; thread < kChildThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (std::uint64_t n = count_of(*store, thread);; ++n) {
        Batch batch;
        batch.put(Table::kQueue, Key('n').u64(thread).u64(n), std::string(200, 'v'));
        batch.put(Table::kSystem, Key('n').u64(thread), std::to_string(n));
        const Acknowledged acknowledged = {thread, n};
        if (!store->commit_wait(std::move(batch)) ||
            write(fd, &acknowledged, sizeof(acknowledged)) != sizeof(acknowledged)) {
          return;
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

pid_t start_child(const fs::path& dir, int fd) {
  const std::string dir_text = dir.string();
  const std::string fd_text = std::to_string(fd);
  setenv("IOTCORE_TEST_DIR", dir_text.c_str(), 1);
  setenv("IOTCORE_TEST_PIPE", fd_text.c_str(), 1);
  const pid_t child = fork();
  if (child == 0) {
    fcntl(fd, F_SETFD, 0);
    execl("/proc/self/exe", "unit_store", "child that is to be killed", nullptr);
    _exit(127);
  }
  return child;
}

TEST_CASE("after kill -9 every acknowledged record is there, whole, and without gaps") {
#ifdef IOTCORE_SANITIZED
  constexpr int kRounds = 8;  // a sanitized process is slow to start
#else
  constexpr int kRounds = 20;
#endif
  const TempDir dir;
  std::mt19937 random(20);
  std::array<std::uint64_t, kChildThreads> acknowledged_count = {};
  for (int round = 0; round < kRounds; ++round) {
    std::array<int, 2> ends = {};
    REQUIRE(pipe2(ends.data(), O_CLOEXEC) == 0);
    const pid_t child = start_child(dir / "db", ends[1]);
    close(ends[1]);
    const auto kill_at = 1 + random() % 200;
    Acknowledged acknowledged = {};
    for (std::uint64_t seen = 0;
         read(ends[0], &acknowledged, sizeof(acknowledged)) == sizeof(acknowledged);) {
      acknowledged_count.at(acknowledged.thread) = acknowledged.number + 1;
      if (++seen == kill_at) {
        kill(child, SIGKILL);
      }
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
    close(ends[0]);

    const auto store = open(dir / "db");
    for (std::uint64_t thread = 0; thread < kChildThreads; ++thread) {
      const std::uint64_t count = count_of(*store, thread);
      // One more may have been committed and not been acknowledged yet.
      CHECK(count >= acknowledged_count.at(thread));
      CHECK(count <= acknowledged_count.at(thread) + 1);
      const auto last = store->get(Table::kSystem, Key('n').u64(thread)).value();
      CHECK((last ? std::stoull(last->value) + 1 : 0) == count);
      if (count != 0) {
        CHECK(store->get(Table::kQueue, Key('n').u64(thread).u64(count - 1)).value());
      }
      acknowledged_count.at(thread) = count;
    }
  }
}

}  // namespace
}  // namespace iotcore::store
