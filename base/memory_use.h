#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace iotcore {

// How many bytes peers have made this process hold: messages, unsent output, unfinished input. Each thread counts what it takes and gives back in a
// cell of its own, so counting costs no more than an addition; the sum over the threads is held against one ceiling for the process.
//
// What peers can make grow is refused step by step as the ceiling comes nearer; each place that grows asks for the level first.
class MemoryUse {
 public:
  enum class Level : std::uint8_t {
    kFree,
    kTight,  // above 4/5: nothing more for who does not keep up
    kFull,   // above 19/20: nothing new at all
  };

  // By whatever thread; another one may give back what this one took.
  static void add(std::int64_t bytes) {
    Cell& cell = this_thread();
    const std::int64_t now = cell.bytes.load(std::memory_order_relaxed) + bytes;
    cell.bytes.store(now, std::memory_order_relaxed);
    const std::int64_t moved = now - cell.looked_at;
    if (moved > kLookEvery || moved < -kLookEvery) {
      look(cell);
    }
  }

  static Level level() { return level_.load(std::memory_order_relaxed); }

  static std::int64_t total();

  static std::int64_t ceiling() { return ceiling_.load(std::memory_order_relaxed); }

  // 0: half of the memory that the machine, or the control group, has.
  static void set_ceiling(std::size_t bytes);

  // Brings the level up to date; it also is whenever a thread's count has moved by a quarter of a mebibyte.
  static void look();

 private:
  // Never destroyed: what a thread took may outlive it.
  struct alignas(64) Cell {
    std::atomic<std::int64_t> bytes = 0;
    std::int64_t looked_at = 0;
    Cell* next = nullptr;
  };

  static constexpr std::int64_t kLookEvery = 256 << 10;

  static Cell& this_thread() {
    if (cell_ == nullptr) [[unlikely]] {
      cell_ = make_cell();
    }
    return *cell_;
  }

  static Cell* make_cell();
  static void look(Cell& cell);

  static inline thread_local constinit Cell* cell_ = nullptr;
  static inline std::atomic<Cell*> cells_ = nullptr;
  static inline std::atomic<std::int64_t> ceiling_ = INT64_MAX;
  static inline std::atomic<Level> level_ = Level::kFree;
};

}  // namespace iotcore
