#include "broker/topic_aliases.h"

#include "broker/rate_limit.h"

#include <catch2/catch.hpp>

namespace iotcore::broker {
namespace {

TEST_CASE(
    "MQTT-3.1.2-26: aliases are from 1 to the client's maximum, and a topic keeps the one it has"
) {
  OutboundAliases aliases(2);
  const auto first = aliases.use("a");
  CHECK((first.alias == 1 && !first.is_known));
  const auto again = aliases.use("a");
  CHECK((again.alias == 1 && again.is_known));
  CHECK(aliases.use("b").alias == 2);
  CHECK(aliases.use("c").alias == 0);  // a has been used, which it loses by this
  const auto replaced = aliases.use("c");
  CHECK((replaced.alias == 2 && !replaced.is_known));
  CHECK(aliases.use("c").is_known);
  CHECK(aliases.use("a").is_known);
  CHECK_FALSE(aliases.use("b").is_known);
}

TEST_CASE("an alias always stands for the topic that it was sent with last") {
  constexpr std::uint16_t kMaximum = 5;
  OutboundAliases aliases(kMaximum);
  std::vector<std::string> receiver(kMaximum + 1);
  std::uint32_t state = 7;
  for (int i = 0; i < 20'000; ++i) {
    state = state * 1'664'525U + 1'013'904'223U;
    const std::string topic = "t/" + std::to_string((state >> 16U) % ((state >> 24U) % 12 + 1));
    const OutboundAliases::Use use = aliases.use(topic);
    REQUIRE(use.alias <= kMaximum);
    if (use.is_known) {
      REQUIRE(receiver[use.alias] == topic);
    } else {
      receiver[use.alias] = topic;
    }
  }
  CHECK(OutboundAliases(0).use("a").alias == 0);
}

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

}  // namespace
}  // namespace iotcore::broker
