#include "tests/unit/registry/policy/policy_samples.h"

#include <catch2/catch.hpp>

#include <cstdio>
#include <ctime>
#include <string>

namespace iotcore::registry::policy {
namespace {

// Time of the processor, which others that share it do not lengthen.
double cpu_ns() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

template <typename Work>
void measure(const char* name, int rounds, const Work& work) {
  const double start = cpu_ns();
  for (int i = 0; i < rounds; ++i) {
    work(i);
  }
  std::printf("%-52s %10.1f ns\n", name, (cpu_ns() - start) / rounds);
}

constexpr const char* kDevicePolicy = R"({"Version":"2012-10-17","Statement":[
  {"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:us-east-1:000000000000:client/${iot:Connection.Thing.ThingName}",
   "Condition":{"Bool":{"iot:Connection.Thing.IsAttached":"true"}}},
  {"Effect":"Allow","Action":["iot:Publish","iot:Receive"],"Resource":[
   "arn:aws:iot:us-east-1:000000000000:topic/$aws/things/${iot:Connection.Thing.ThingName}/shadow/*",
   "arn:aws:iot:us-east-1:000000000000:topic/$aws/things/${iot:Connection.Thing.ThingName}/jobs/*",
   "arn:aws:iot:us-east-1:000000000000:topic/devices/${iot:Connection.Thing.ThingName}/*/data"]},
  {"Effect":"Allow","Action":"iot:Subscribe","Resource":"arn:aws:iot:us-east-1:000000000000:topicfilter/devices/${iot:Connection.Thing.ThingName}/*"},
  {"Effect":"Deny","Action":"iot:Publish","Resource":"arn:aws:iot:us-east-1:000000000000:topic/*/secret/*"}]})";

TEST_CASE("Time of a policy decision", "[.bench]") {
  Context context;
  context.client_id = "thing-0001";
  context.thing = ThingFacts{.name = "thing-0001", .type = {}, .attributes = {}};
  context.source_ip = "192.0.2.1";
  const auto compiled =
      CompiledPolicies::compile({{"Device", test::parse(kDevicePolicy)}}, test::kArnPrefix);
  const BoundPolicies bound = compiled->bind(context);
  const auto wide = CompiledPolicies::compile(
      {{"Wide",
        test::parse(
            R"({"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:*","Resource":"*"}})"
        )}},
      test::kArnPrefix
  );
  const BoundPolicies wide_bound = wide->bind(context);
  std::string list =
      R"({"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:Publish","Resource":[)";
  for (int i = 0; i < 200; ++i) {
    list += (i == 0 ? "\"" : ",\"") + std::string(test::kArnPrefix) + "topic/fleet/" +
            std::to_string(i) + "/*\"";
  }
  const BoundPolicies long_bound =
      CompiledPolicies::compile({{"Long", test::parse(list + "]}}")}}, test::kArnPrefix)
          ->bind(context);

  const std::string data = "devices/thing-0001/line-3/data";
  const std::string shadow = "$aws/things/thing-0001/shadow/update";
  const std::string foreign = "devices/thing-0002/line-3/data";
  const std::string last = "fleet/199/state";
  std::size_t allowed = 0;
  const auto decide = [&](const BoundPolicies& policies, const std::string& topic) {
    allowed += policies.decide(Action::kPublish, topic).allowed() ? 1 : 0;
  };
  constexpr int kRounds = 2'000'000;
  measure("publish, device policy, third pattern", kRounds, [&](int) { decide(bound, data); });
  measure("publish, device policy, shadow topic", kRounds, [&](int) { decide(bound, shadow); });
  measure("publish, device policy, refused", kRounds, [&](int) { decide(bound, foreign); });
  measure("publish, iot:* on *", kRounds, [&](int) { decide(wide_bound, data); });
  measure("publish, last of 200 patterns", kRounds / 20, [&](int) { decide(long_bound, last); });
  measure("bind to a connection", kRounds / 100, [&](int) {
    allowed += compiled->bind(context).decide(Action::kConnect, "thing-0001").allowed() ? 1 : 0;
  });
  const std::vector<NamedDocument> policies = {{"Device", test::parse(kDevicePolicy)}};
  measure("compile", kRounds / 2000, [&](int) {
    allowed += CompiledPolicies::compile(policies, test::kArnPrefix)->policies().size();
  });
  const std::string whole = std::string(test::kArnPrefix) + "topic/" + data;
  const std::string_view resources[] = {whole};
  measure("plain evaluator", kRounds / 200, [&](int) {
    allowed += evaluate(policies, context, "iot:Publish", resources).decision.allowed() ? 1 : 0;
  });
  CHECK(allowed != 0);
}

}  // namespace
}  // namespace iotcore::registry::policy
