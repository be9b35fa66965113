#include "base/memory_use.h"

#include <catch2/catch.hpp>

#include <thread>

namespace iotcore {
namespace {

TEST_CASE("memory use is summed over threads, and its level follows it up and down") {
  const std::int64_t before = MemoryUse::total();
  MemoryUse::set_ceiling(static_cast<std::size_t>(before) + (100U << 20));
  CHECK(MemoryUse::level() == MemoryUse::Level::kFree);
  std::thread([] { MemoryUse::add(85 << 20); }).join();
  CHECK(MemoryUse::level() == MemoryUse::Level::kTight);
  MemoryUse::add(12 << 20);
  CHECK(MemoryUse::level() == MemoryUse::Level::kFull);
  CHECK(MemoryUse::total() == before + (97 << 20));
  // Given back by another thread than took it.
  MemoryUse::add(-(90 << 20));
  CHECK(MemoryUse::level() == MemoryUse::Level::kFree);
  MemoryUse::add(-(7 << 20));
  CHECK(MemoryUse::total() == before);
  MemoryUse::set_ceiling(0);
  CHECK(MemoryUse::ceiling() > (64 << 20));
}

}  // namespace
}  // namespace iotcore
