#include "broker/quiescent.h"

#include "tests/unit/broker/random.h"

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <thread>
#include <vector>

namespace iotcore::broker {
namespace {

constexpr WorkerId worker(unsigned i) {
  return static_cast<WorkerId>(i);
}

struct Counted {
  std::uint64_t alive = kAlive;
  std::uint64_t number = 0;

  static constexpr std::uint64_t kAlive = 0xA11FE;
  static inline std::atomic<int> freed{0};

  static void free(void* memory) {
    auto* const counted = static_cast<Counted*>(memory);
    counted->alive = 0;
    delete counted;
    freed.fetch_add(1);
  }
};

void retire_one(RetireList& list) {
  list.retire(new Counted, sizeof(Counted), &Counted::free);
}

TEST_CASE("memory is freed at once when nobody reads") {
  Counted::freed = 0;
  QuiescentDomain domain(4);
  RetireList list(domain);
  retire_one(list);
  CHECK(list.retired_bytes() == sizeof(Counted));
  list.collect();
  CHECK(Counted::freed == 1);
  CHECK(list.retired_bytes() == 0);
}

TEST_CASE("memory waits for each reader that was online when it was retired") {
  Counted::freed = 0;
  QuiescentDomain domain(4);
  RetireList list(domain);
  domain.online(worker(0));
  domain.online(worker(2));
  retire_one(list);
  list.collect();
  CHECK(Counted::freed == 0);
  domain.quiescent(worker(0));
  list.collect();
  CHECK(Counted::freed == 0);
  // One that comes online now cannot have seen it.
  domain.online(worker(3));
  domain.quiescent(worker(2));
  list.collect();
  CHECK(Counted::freed == 1);
}

TEST_CASE("a reader that sleeps does not hold memory back") {
  Counted::freed = 0;
  QuiescentDomain domain(2);
  RetireList list(domain);
  domain.online(worker(0));
  retire_one(list);
  list.collect();
  CHECK(Counted::freed == 0);
  domain.offline(worker(0));
  list.collect();
  CHECK(Counted::freed == 1);
  {
    const OnlineGuard online(domain, worker(1));
    CHECK(domain.is_online(worker(1)));
  }
  CHECK_FALSE(domain.is_online(worker(1)));
}

TEST_CASE("many retired parts are collected on the way, and all when the list goes") {
  Counted::freed = 0;
  QuiescentDomain domain(1);
  {
    RetireList list(domain);
    for (int i = 0; i < 1000; ++i) {
      retire_one(list);
    }
    CHECK(Counted::freed > 900);
    domain.online(worker(0));
    for (int i = 0; i < 1000; ++i) {
      retire_one(list);
    }
    CHECK(list.retired_bytes() >= 1000 * sizeof(Counted));
    domain.offline(worker(0));
  }
  CHECK(Counted::freed == 2000);
}

// Readers walk over cells whose content a writer replaces all the time; what they hold must be
// alive until they say that they let go. The sanitizers look at the same.
TEST_CASE("stress: readers never see freed memory") {
  constexpr unsigned kReaders = 3;
  constexpr std::uint64_t kReplacements = 60'000;
  Counted::freed = 0;
  QuiescentDomain domain(kReaders);
  std::array<std::atomic<Counted*>, 16> cells;
  for (auto& cell : cells) {
    cell = new Counted;
  }
  std::atomic<bool> stop{false};
  std::atomic<unsigned> failures{0};
  std::vector<std::thread> readers;
  for (unsigned r = 0; r < kReaders; ++r) {
    readers.emplace_back([&, r] {
      Random random(r + 1);
      domain.online(worker(r));
      while (!stop.load(std::memory_order_relaxed)) {
        // A turn: hold some, look at them again at its end.
        std::array<const Counted*, 4> held;
        for (const Counted*& counted : held) {
          counted = cells[random.below(cells.size())].load(std::memory_order_acquire);
        }
        for (const Counted* const counted : held) {
          failures += counted->alive == Counted::kAlive ? 0 : 1;
        }
        if (random.one_in(8)) {
          domain.offline(worker(r));
          std::this_thread::yield();
          domain.online(worker(r));
        } else {
          domain.quiescent(worker(r));
        }
      }
      domain.offline(worker(r));
    });
  }
  {
    RetireList list(domain);
    Random random(99);
    for (std::uint64_t i = 0; i < kReplacements; ++i) {
      auto* const fresh = new Counted{.number = i};
      Counted* const old = cells[random.below(cells.size())].exchange(fresh);
      list.retire(old, sizeof(Counted), &Counted::free);
    }
    stop = true;
    for (std::thread& reader : readers) {
      reader.join();
    }
    list.collect();
    list.collect();
    CHECK(list.retired_bytes() == 0);
  }
  CHECK(failures == 0);
  CHECK(Counted::freed == static_cast<int>(kReplacements));
  for (auto& cell : cells) {
    delete cell.load();
  }
}

}  // namespace
}  // namespace iotcore::broker
