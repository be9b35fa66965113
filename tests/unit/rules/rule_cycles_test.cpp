#include "rules/rule_cycles.h"

#include <catch2/catch.hpp>

namespace iotcore::rules {
namespace {

TEST_CASE("A republished topic may reach a filter by what is known of it") {
  CHECK(may_reach("a/b", "a/b"));
  CHECK(may_reach("a/b", "a/+"));
  CHECK(may_reach("a/b/c", "a/#"));
  CHECK(may_reach("a", "a/#"));
  CHECK(may_reach("a/${x}", "a/b"));
  CHECK(may_reach("a/${x}", "a/b/c"));
  CHECK(may_reach("a/p-${x}/z", "a/p-1/z"));
  CHECK(may_reach("${topic()}", "a/b"));
  CHECK(may_reach("$$aws/things/t/shadow/update", "$aws/things/+/shadow/update"));
  CHECK_FALSE(may_reach("a/b", "a/c"));
  CHECK_FALSE(may_reach("a/b", "a/b/c"));
  CHECK_FALSE(may_reach("a/b/c", "a/b"));
  CHECK_FALSE(may_reach("out/${topic()}", "in/#"));
  CHECK_FALSE(may_reach("a/p-${x}", "a/q"));
  CHECK_FALSE(may_reach("$$aws/things/t/shadow/update", "+/things/#"));
}

TEST_CASE("Cycles of rules are found once each") {
  using Cycles = std::vector<std::vector<std::size_t>>;
  const std::vector<RuleFlow> chain = {
      {"a", "in", {"mid"}}, {"b", "mid", {"out"}}, {"c", "out", {}}};
  CHECK(find_cycles(chain).empty());
  const std::vector<RuleFlow> ring = {
      {"a", "in/#", {"mid/${topic(2)}"}},
      {"b", "mid/+", {"x", "in/again"}},
      {"c", std::nullopt, {"in/1"}}};
  CHECK(find_cycles(ring) == Cycles{{0, 1}});
  const std::vector<RuleFlow> itself = {{"a", "in/+", {"in/copy"}}};
  CHECK(find_cycles(itself) == Cycles{{0}});
}

}  // namespace
}  // namespace iotcore::rules
