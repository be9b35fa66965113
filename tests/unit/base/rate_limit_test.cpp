#include "base/rate_limit.h"

#include <catch2/catch.hpp>

namespace iotcore {
namespace {

TEST_CASE("a rate allows one second's worth at once and then its pace") {
  RateLimit limit;
  MonotonicTime now(std::chrono::seconds(100));
  for (int i = 0; i < 10; ++i) {
    CHECK(limit.take(now, 1, 10) == Duration::zero());
  }
  CHECK(limit.take(now, 1, 10) == std::chrono::milliseconds(100));
  now += std::chrono::milliseconds(100);
  CHECK_FALSE(limit.try_take(now, 1, 10));
  now += std::chrono::milliseconds(100);
  CHECK(limit.try_take(now, 1, 10));
  CHECK_FALSE(limit.try_take(now, 1, 10));
  now += std::chrono::hours(1);
  int burst = 0;
  while (limit.try_take(now, 1, 10)) {
    ++burst;
  }
  CHECK(burst == 10);
  RateLimit bytes;
  CHECK(bytes.take(now, 3'000, 1'000) == std::chrono::seconds(2));
}

TEST_CASE("a rate with a burst of its own") {
  constexpr Duration kBurst = std::chrono::seconds(10);
  const MonotonicTime start(std::chrono::seconds(100));
  RateLimit limit;
  const auto takes = [&](MonotonicTime now) {
    int taken = 0;
    while (taken < 10'000 && limit.try_take(now, 1, 200, kBurst)) {
      ++taken;
    }
    return taken;
  };
  CHECK(takes(start) == 2000);
  CHECK(takes(start + std::chrono::milliseconds(4)) == 0);
  CHECK(takes(start + std::chrono::milliseconds(5)) == 1);
  CHECK(takes(start + std::chrono::seconds(1)) == 199);
  CHECK(takes(start + std::chrono::hours(1)) == 2000);
  // Whole or not at all.
  CHECK_FALSE(limit.try_take(start + std::chrono::hours(2), 2001, 200, kBurst));
  CHECK(limit.is_idle(start + std::chrono::hours(2)));
  CHECK(limit.try_take(start + std::chrono::hours(2), 2000, 200, kBurst));
}

}  // namespace
}  // namespace iotcore
