#include "base/timer_wheel.h"

#include "base/function.h"

#include <catch2/catch.hpp>

#include <map>
#include <random>
#include <string>
#include <vector>

namespace iotcore {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr MonotonicTime kStart = MonotonicTime(std::chrono::hours(1000));

std::string fired(BasicTimerWheel<int>& wheel, Duration after_start) {
  std::string out;
  wheel.advance(kStart + after_start, [&](int payload) { out += std::to_string(payload) + " "; });
  return out;
}

TEST_CASE("timers fire in their order, never early, once") {
  BasicTimerWheel<int> wheel;
  CHECK(wheel.next() == MonotonicTime::max());
  const std::vector<std::int64_t> delays_ms = {
      0, 1, 2, 63, 64, 65, 4095, 4096, 70000, 262144, 3000000, 90000000};
  for (std::size_t i = delays_ms.size(); i > 0; --i) {
    wheel.schedule(kStart + milliseconds(delays_ms[i - 1]), static_cast<int>(i - 1));
  }
  CHECK(wheel.size() == delays_ms.size());
  CHECK(fired(wheel, milliseconds(-1)).empty());
  for (std::size_t i = 0; i < delays_ms.size(); ++i) {
    CHECK(wheel.next() <= kStart + milliseconds(delays_ms[i]));
    CHECK(fired(wheel, milliseconds(delays_ms[i]) - microseconds(1)).empty());
    CHECK(fired(wheel, milliseconds(delays_ms[i])) == std::to_string(i) + " ");
  }
  CHECK(wheel.empty());
  CHECK(wheel.next() == MonotonicTime::max());
}

TEST_CASE("a part of a tick is rounded up") {
  BasicTimerWheel<int> wheel;
  wheel.schedule(kStart + microseconds(1500), 1);
  CHECK(fired(wheel, microseconds(1999)).empty());
  CHECK(fired(wheel, microseconds(2000)) == "1 ");
}

TEST_CASE("a jump over everything fires everything in order") {
  BasicTimerWheel<int> wheel;
  wheel.schedule(kStart + std::chrono::hours(24 * 365 * 5), 5);
  wheel.schedule(kStart + std::chrono::hours(24), 2);
  wheel.schedule(kStart + std::chrono::hours(24 * 365 * 2), 3);
  wheel.schedule(kStart + std::chrono::hours(24 * 365 * 3), 4);
  wheel.schedule(kStart + milliseconds(5), 1);
  CHECK(fired(wheel, std::chrono::hours(24 * 365 * 6)) == "1 2 3 4 5 ");
}

TEST_CASE("years ahead still fire on time") {
  BasicTimerWheel<int> wheel;
  const Duration far = std::chrono::hours(24 * 365 * 5);
  wheel.schedule(kStart + far, 1);
  Duration at = {};
  while (!wheel.empty()) {
    at = wheel.next() - kStart;
    REQUIRE(at <= far);
    fired(wheel, at);
  }
  CHECK(at == far);
}

TEST_CASE("a cancelled timer does not fire, and its id means nothing to later ones") {
  BasicTimerWheel<int> wheel;
  const TimerHandle a = wheel.schedule(kStart + milliseconds(10), 1);
  const TimerHandle b = wheel.schedule(kStart + milliseconds(10), 2);
  const TimerHandle c = wheel.schedule(kStart + milliseconds(10), 3);
  CHECK(wheel.cancel(b));
  CHECK_FALSE(wheel.cancel(b));
  CHECK_FALSE(wheel.cancel(TimerHandle()));
  const TimerHandle d = wheel.schedule(kStart + milliseconds(10), 4);
  CHECK(d.id != b.id);
  CHECK_FALSE(wheel.cancel(b));
  CHECK(wheel.cancel(a));
  CHECK(wheel.cancel(d));
  CHECK(fired(wheel, milliseconds(10)) == "3 ");
  CHECK_FALSE(wheel.cancel(c));
}

TEST_CASE("what fires may schedule and cancel") {
  TimerWheel wheel;
  std::string out;
  TimerHandle victim = TimerHandle();
  const auto deadline = kStart + milliseconds(100);
  wheel.schedule(deadline, [&] {
    out += "a";
    CHECK(wheel.cancel(victim));
    wheel.schedule(deadline, [&] { out += "c"; });  // due already: in the next advance
  });
  victim = wheel.schedule(deadline, [&] { out += "x"; });
  wheel.schedule(deadline + milliseconds(1), [&] { out += "b"; });
  wheel.advance(kStart + milliseconds(500));
  CHECK(out == "ab");
  wheel.advance(kStart + milliseconds(500));
  CHECK(out == "ab");
  wheel.advance(kStart + milliseconds(501));
  CHECK(out == "abc");
}

TEST_CASE("the wheel agrees with a sorted map") {
  std::mt19937_64 random(7);
  BasicTimerWheel<int> wheel;
  std::map<std::pair<std::int64_t, int>, TimerHandle> expected;
  std::int64_t now_ms = 0;
  for (int step = 0; step < 20000; ++step) {
    const std::uint64_t dice = random() % 10;
    if (dice < 6) {
      const std::int64_t delay = static_cast<std::int64_t>(random() >> (random() % 34 + 30));
      const std::int64_t due = now_ms + delay;
      expected[{due, step}] = wheel.schedule(kStart + milliseconds(now_ms + delay), step);
    } else if (dice < 8 && !expected.empty()) {
      auto victim = expected.begin();
      std::advance(victim, static_cast<std::ptrdiff_t>(random() % expected.size() % 50));
      REQUIRE(wheel.cancel(victim->second));
      expected.erase(victim);
    } else {
      now_ms += static_cast<std::int64_t>(random() >> (random() % 40 + 24) >> 16);
      std::vector<int> got;
      std::vector<int> due;
      std::int64_t last = 0;
      wheel.advance(kStart + milliseconds(now_ms), [&](int payload) { got.push_back(payload); });
      std::map<int, std::int64_t> due_at;
      while (!expected.empty() && expected.begin()->first.first <= now_ms) {
        due.push_back(expected.begin()->first.second);
        due_at[due.back()] = expected.begin()->first.first;
        expected.erase(expected.begin());
      }
      REQUIRE(got.size() == due.size());
      for (const int payload : got) {
        REQUIRE(due_at.contains(payload));
        REQUIRE(due_at[payload] >= last);
        last = due_at[payload];
      }
    }
    REQUIRE(wheel.size() == expected.size());
    if (!expected.empty()) {
      REQUIRE(wheel.next() <= kStart + milliseconds(expected.begin()->first.first));
    }
  }
}

}  // namespace
}  // namespace iotcore
