#include "registry/policy/compile.h"

#include "registry/policy/glob_table.h"
#include "registry/policy/residual.h"
#include "tests/unit/registry/policy/policy_samples.h"

#include <catch2/catch.hpp>

#include <string>

namespace iotcore::registry::policy {
namespace {

using test::kArnPrefix;

std::string arn(std::string_view kind, std::string_view name) {
  return std::string(kArnPrefix).append(kind).append(name);
}

TEST_CASE("The compiled form agrees with the rules") {
  test::RandomPolicies random(GENERATE(range(1U, 6U)));
  ManualClock clock(from_epoch_ms(1'700'000'000'000));
  for (int round = 0; round < 25; ++round) {
    const std::vector<NamedDocument> policies = random.policies();
    const auto compiled = CompiledPolicies::compile(policies, kArnPrefix);
    const Context context = random.context(clock);
    const BoundPolicies bound = compiled->bind(context);
    clock.advance(std::chrono::seconds(random.below(2)));
    for (int i = 0; i < 4; ++i) {
      const std::string name = random.name();
      const std::string also = random.name();
      const std::string arns[] = {arn("topic/", name), arn("topic/", also)};
      const std::string_view resources[] = {arns[0], arns[1]};
      const auto expect = [&](std::string_view action, std::span<const std::string_view> of) {
        return evaluate(policies, context, action, of).decision;
      };
      INFO("name " << name << " also " << also);
      const Decision publish = expect("iot:Publish", {resources, 1});
      REQUIRE(bound.decide(Action::kPublish, name) == publish);
      REQUIRE(bound.decide("iot:Publish", {resources, 1}) == publish);
      const Decision receive = expect("iot:Receive", resources);
      REQUIRE(bound.decide("iot:Receive", resources) == receive);

      const std::string client = arn("client/", name);
      const std::string thing = arn("thing/", name);
      const std::string_view others[] = {client, thing, "*"};
      REQUIRE(bound.decide(Action::kConnect, name) == expect("iot:Connect", {others, 1}));
      REQUIRE(
          bound.decide(Action::kUpdateJobExecution, name) ==
          expect("iotjobsdata:UpdateJobExecution", {others + 1, 1})
      );
      REQUIRE(
          bound.decide(Action::kListRetainedMessages, "*") ==
          expect("iot:ListRetainedMessages", {others + 2, 1})
      );
    }
  }
}

TEST_CASE("Compiled patterns match what plain ones match") {
  test::RandomPolicies random(GENERATE(range(1U, 6U)));
  for (int round = 0; round < 200; ++round) {
    // With and without the head that most share, so that wildcards come first, too.
    std::string source = random.resource_pattern();
    std::string text = arn("topic/", random.name());
    if (source.starts_with(kArnPrefix) && random.below(2) == 0) {
      source.erase(0, kArnPrefix.size() + random.below(7));
      text.erase(0, kArnPrefix.size() + random.below(7));
    }
    const Pattern pattern = parse_pattern(source, false);
    GlobTable table;
    const GlobTable::Glob glob = table.add(pattern);
    REQUIRE(table.matches(glob, text, {nullptr, nullptr}) == matches(pattern, text));
  }
}

TEST_CASE("What is left of a pattern matches what is left of a text") {
  test::RandomPolicies random(GENERATE(range(1U, 6U)));
  const std::string prefix = arn("topic/", "");
  for (int round = 0; round < 50; ++round) {
    const std::string text = random.resource_pattern();
    const Pattern pattern = parse_pattern(text, false);
    const std::vector<Pattern> rest = residuals(pattern, prefix).value();
    for (int i = 0; i < 10; ++i) {
      const std::string name = random.name();
      bool any = false;
      for (const Pattern& one : rest) {
        any = any || matches(one, name);
      }
      INFO(text << " " << name);
      REQUIRE(any == matches(pattern, prefix + name));
    }
  }
  CHECK_FALSE(residuals(parse_pattern("arn:${a}*", true), prefix));
  CHECK(residuals(parse_pattern(prefix + "${a}", true), prefix).value().size() == 1);
  CHECK(residuals(parse_pattern("arn:aws:iot:eu-*", true), prefix).value().empty());
}

TEST_CASE("A pattern of many stars takes no time") {
  std::string text;
  std::string pattern;
  for (int i = 0; i < 1000; ++i) {
    pattern += "a*?b*";
    text += "aaaa/aaab";
  }
  GlobTable table;
  const GlobTable::Glob with_end = table.add(parse_pattern(pattern + "c", true));
  const GlobTable::Glob without = table.add(parse_pattern(pattern, true));
  CHECK_FALSE(table.matches(with_end, text, {nullptr, nullptr}));
  CHECK(table.matches(without, text, {nullptr, nullptr}));
}

TEST_CASE("A decision names its statement, and an explanation the rest") {
  const std::vector<NamedDocument> policies = {
      {"Base",
       test::parse(R"({"Version":"2012-10-17","Statement":[
          {"Sid":"Topics","Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:us-east-1:000000000000:topic/${iot:ClientId}/*"},
          {"Sid":"Own","Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:us-east-1:000000000000:topic/${iot:Connection.Thing.ThingName}/*"}]})"
       )},
      {"Guard",
       test::parse(R"({"Version":"2012-10-17","Statement":
          {"Effect":"Deny","Action":"*","Resource":"*/secret","Condition":{"Bool":{"aws:SecureTransport":"false"}}}})"
       )},
      {"Other", test::parse(R"({"Version":"2012-10-17","Statement":
          {"Effect":"Allow","Action":"iot:Connect","Resource":"*"}})")},
  };
  const auto compiled = CompiledPolicies::compile(policies, kArnPrefix);
  Context context;
  context.client_id = "dev";
  const std::string topic = arn("topic/", "dev/secret");
  const std::string_view resources[] = {topic};

  Explanation allowed = compiled->explain(context, "iot:Publish", resources);
  CHECK(allowed.decision == Decision{Verdict::kAllowed, 0, 0});
  CHECK(allowed.policy_name == "Base");
  CHECK(allowed.sid == "Topics");
  CHECK(allowed.allowing == std::vector<std::string>{"Base"});
  CHECK(allowed.denying.empty());
  CHECK(allowed.silent == std::vector<std::string>{"Guard", "Other"});
  CHECK(
      allowed.missing_values ==
      std::vector<std::string>{"aws:SecureTransport", "iot:Connection.Thing.ThingName"}
  );

  context.set("aws:SecureTransport", std::string("false"));
  const Explanation denied = compiled->explain(context, "iot:Publish", resources);
  CHECK(denied.decision == Decision{Verdict::kExplicitDeny, 1, 0});
  CHECK(denied.policy_name == "Guard");
  CHECK(denied.sid.empty());
  CHECK(denied.denying == std::vector<std::string>{"Guard"});

  const BoundPolicies bound = compiled->bind(context);
  const Decision implicit = bound.decide(Action::kPublish, "other");
  CHECK(implicit.verdict == Verdict::kImplicitDeny);
  CHECK(compiled->policy_name(implicit).empty());
  CHECK(compiled->sid(bound.decide(Action::kPublish, "dev/x")) == "Topics");
}

TEST_CASE("A condition on the time changes its mind while the connection lives") {
  const auto compiled = CompiledPolicies::compile(
      {{"P",
        test::parse(
            R"({"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*",
          "Condition":{"DateLessThan":{"aws:CurrentTime":"2023-11-14T22:13:21Z"}}}})"
        )}},
      kArnPrefix
  );
  ManualClock clock(from_epoch_ms(1'700'000'000'000));
  Context context;
  context.clock = &clock;
  const BoundPolicies bound = compiled->bind(context);
  CHECK(bound.decide(Action::kPublish, "a").allowed());
  clock.advance(std::chrono::seconds(1));
  CHECK_FALSE(bound.decide(Action::kPublish, "a").allowed());
}

TEST_CASE("Every action is found by its name") {
  for (std::size_t i = 0; i < static_cast<std::size_t>(Action::kCount_); ++i) {
    const auto action = static_cast<Action>(i);
    CHECK(find_action(action_info(action).name) == action);
  }
  CHECK_FALSE(find_action("iot:PublishRetain"));
}

}  // namespace
}  // namespace iotcore::registry::policy
