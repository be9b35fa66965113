#include "base/bytes.h"
#include "base/check.h"
#include "registry/policy/compile.h"
#include "registry/policy/document.h"
#include "registry/policy/evaluate.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace {

using namespace iotcore::registry;

constexpr std::string_view kArnPrefix = "arn:aws:iot:us-east-1:000000000000:";

policy::Context context_of(std::string_view name) {
  policy::Context context;
  context.client_id = std::string(name);
  context.thing = policy::ThingFacts{.name = "thing", .type = "type", .attributes = {{"n", "7"}}};
  context.certificate = policy::CertificateFacts{
      .id = "f0",
      .serial = "1",
      .subject = {{"CommonName", {std::string(name)}}},
      .issuer = {},
      .available_keys = {"x"}};
  context.source_ip = std::string(name);
  context.set("aws:CurrentTime", std::string(name));
  context.set("x:set", std::vector<std::string>{std::string(name), "a"});
  return context;
}

}  // namespace

// First line: a name, which is the topic and every value; the rest: a document. What is accepted must be decided alike by the
// compiled form and by the plain rules.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t line = input.find('\n');
  if (line == input.npos || line > 64) {
    return 0;
  }
  const std::string_view name = input.substr(0, line);
  auto document = policy::parse_document(input.substr(line + 1), policy::Limits::strict());
  if (!document || !iotcore::is_valid_utf8(name)) {
    return 0;
  }
  const std::vector<policy::NamedDocument> policies = {{"P", *std::move(document)}};
  const policy::Context context = context_of(name);
  const auto bound = policy::CompiledPolicies::compile(policies, kArnPrefix)->bind(context);
  const auto check = [&](policy::Action action, std::string_view kind) {
    const std::string arn = std::string(kArnPrefix).append(kind).append(name);
    const std::string_view resources[] = {arn};
    const policy::Decision plain =
        policy::evaluate(policies, context, policy::action_info(action).name, resources).decision;
    IOTCORE_CHECK(bound.decide(action, name) == plain);
    IOTCORE_CHECK(bound.decide(policy::action_info(action).name, resources) == plain);
  };
  check(policy::Action::kPublish, "topic/");
  check(policy::Action::kConnect, "client/");
  check(policy::Action::kUpdateJobExecution, "thing/");
  return 0;
}
