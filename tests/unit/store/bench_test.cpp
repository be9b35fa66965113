#include "base/thread_pool.h"
#include "store/keys.h"
#include "store/rocksdb_store.h"
#include "tests/unit/store/engines.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <functional>
#include <thread>
#include <vector>

// Durable commits per second, 500-byte values. Not part of the suite: unit_store "[.bench]".
namespace iotcore::store {
namespace {

using test::TempDir;
using Seconds = std::chrono::duration<double>;

constexpr Seconds kRun(2);

Batch batch_of(std::uint64_t thread, std::uint64_t n, std::uint64_t rows) {
  static const std::string value(500, 'v');
  Batch batch;
  for (std::uint64_t i = 0; i < rows; ++i) {
    batch.put(Table::kQueue, Key('b').u64(thread).u64(n * rows + i), value);
  }
  return batch;
}

void report(const char* what, std::uint64_t rows, Seconds took) {
  std::printf("%-44s %10.0f rows/s\n", what, static_cast<double>(rows) / took.count());
  std::fflush(stdout);
}

// Each thread waits for one commit before it makes the next.
void run_waiting(const char* what, std::uint64_t thread_count, std::uint64_t rows) {
  const TempDir dir;
  const auto store = open_rocksdb_store(dir / "db", {}).value();
  std::atomic<std::uint64_t> total = 0;
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::thread> threads;
  for (std::uint64_t thread = 0; thread < thread_count; ++thread) {
    threads.emplace_back([&, thread] {
      std::uint64_t n = 0;
      while (std::chrono::steady_clock::now() - start < kRun) {
        static_cast<void>(store->commit_wait(batch_of(thread, n++, rows)).value());
      }
      total += n * rows;
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  report(what, total, std::chrono::steady_clock::now() - start);
}

// As a worker does it: one thread, many commits under way, completions on its executor.
void run_pipelined(const char* what, std::uint64_t under_way, std::uint64_t rows) {
  const TempDir dir;
  const auto store = open_rocksdb_store(dir / "db", {}).value();
  std::atomic<std::uint64_t> completed = 0;
  std::atomic<std::uint64_t> alive = 0;
  const auto start = std::chrono::steady_clock::now();
  ThreadPool worker("worker", 1);
  std::uint64_t n = 0;
  std::function<void()> next = [&] {
    store->commit(batch_of(0, n++, rows), &worker, [&](const Result<Revision>& revision) {
      static_cast<void>(revision.value());
      ++completed;
      if (std::chrono::steady_clock::now() - start < kRun) {
        next();
      } else {
        --alive;
      }
    });
  };
  alive = under_way;
  worker.post([&] {
    for (std::uint64_t i = 0; i < under_way; ++i) {
      next();
    }
  });
  while (alive != 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  report(what, completed * rows, std::chrono::steady_clock::now() - start);
}

TEST_CASE("durable commits per second", "[.bench]") {
  run_waiting("1 thread, waiting", 1, 1);
  run_waiting("8 threads, waiting", 8, 1);
  run_waiting("64 threads, waiting", 64, 1);
  run_waiting("1 thread, batches of 100", 1, 100);
  run_waiting("8 threads, batches of 100", 8, 100);
  run_pipelined("1 worker, 64 under way", 64, 1);
  run_pipelined("1 worker, 1000 under way", 1000, 1);
  run_pipelined("1 worker, 10000 under way", 10000, 1);
}

}  // namespace
}  // namespace iotcore::store
