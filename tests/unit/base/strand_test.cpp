#include "base/strand.h"

#include "base/thread_pool.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace iotcore {
namespace {

TEST_CASE("a strand runs one task after the other, each thread's in their order, on many threads") {
  constexpr std::size_t kPosters = 4;
  constexpr int kTasks = 2000;
  auto pool = std::make_unique<ThreadPool>("test", 3);
  Strand strand(*pool);
  CHECK(strand.idle());
  std::atomic<int> inside = 0;
  int ran = 0;  // not atomic: one after the other
  int wrong = 0;
  std::vector<int> last(kPosters, -1);
  std::vector<std::thread> posters;
  for (std::size_t mine = 0; mine < kPosters; ++mine) {
    posters.emplace_back([&, mine] {
      for (int i = 0; i < kTasks; ++i) {
        strand.post([&, mine, i] {
          wrong += inside.exchange(1) != 0 || last[mine] != i - 1 ? 1 : 0;
          last[mine] = i;
          ++ran;
          inside = 0;
        });
      }
    });
  }
  for (std::thread& each : posters) {
    each.join();
  }
  while (!strand.idle()) {
    std::this_thread::yield();
  }
  CHECK(ran == kTasks * static_cast<int>(kPosters));  // seen by who has seen it idle
  CHECK(wrong == 0);
  pool.reset();
}

TEST_CASE("a strand is busy until what its tasks have posted has run, too") {
  auto pool = std::make_unique<ThreadPool>("test", 1);
  Strand strand(*pool);
  std::atomic<bool> go = false;
  std::atomic<bool> second = false;
  strand.post([&] {
    while (!go) {
      std::this_thread::yield();
    }
    strand.post([&] { second = true; });
  });
  CHECK_FALSE(strand.idle());
  go = true;
  while (!strand.idle()) {
    std::this_thread::yield();
  }
  CHECK(second);
  pool.reset();
}

}  // namespace
}  // namespace iotcore
