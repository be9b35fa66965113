#include "base/memory_use.h"

#include <algorithm>
#include <fstream>
#include <unistd.h>

namespace iotcore {
namespace {

std::size_t machine_bytes() {
  const auto pages = static_cast<std::size_t>(std::max(::sysconf(_SC_PHYS_PAGES), 1L));
  std::size_t bytes = pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  // "max" where the control group has no limit.
  std::ifstream limit("/sys/fs/cgroup/memory.max");
  std::size_t group = 0;
  if (limit >> group && group != 0) {
    bytes = std::min(bytes, group);
  }
  return bytes;
}

}  // namespace

MemoryUse::Cell* MemoryUse::make_cell() {
  auto* cell = new Cell();
  cell->next = cells_.load(std::memory_order_relaxed);
  while (!cells_.compare_exchange_weak(
      cell->next, cell, std::memory_order_release, std::memory_order_relaxed
  )) {
  }
  return cell;
}

std::int64_t MemoryUse::total() {
  std::int64_t total = 0;
  for (const Cell* cell = cells_.load(std::memory_order_acquire); cell != nullptr;
       cell = cell->next) {
    total += cell->bytes.load(std::memory_order_relaxed);
  }
  return total;
}

void MemoryUse::set_ceiling(std::size_t bytes) {
  const std::size_t ceiling = bytes != 0 ? bytes : machine_bytes() / 2;
  ceiling_.store(
      static_cast<std::int64_t>(std::min<std::size_t>(ceiling, INT64_MAX)),
      std::memory_order_relaxed
  );
  look();
}

void MemoryUse::look(Cell& cell) {
  cell.looked_at = cell.bytes.load(std::memory_order_relaxed);
  look();
}

void MemoryUse::look() {
  const std::int64_t most = ceiling();
  const std::int64_t now = total();
  level_.store(
      now > most / 20 * 19 ? Level::kFull
      : now > most / 5 * 4 ? Level::kTight
                           : Level::kFree,
      std::memory_order_relaxed
  );
}

}  // namespace iotcore
