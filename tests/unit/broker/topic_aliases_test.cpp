#include "broker/topic_aliases.h"

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

}  // namespace
}  // namespace iotcore::broker
