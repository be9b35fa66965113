#include "base/json.h"
#include "registry/policy/compile.h"
#include "registry/policy/evaluate.h"
#include "tests/vectors/vectors.h"

#include <optional>
#include <string>
#include <vector>

namespace iotcore::vectors {
namespace {

namespace policy = registry::policy;

constexpr std::string_view kArnPrefix = "arn:aws:iot:us-east-1:000000000000:";

std::string text_of(const json::value& value) {
  return {value.get_string().data(), value.get_string().size()};
}

std::optional<std::string> text_member(const json::object& object, std::string_view name) {
  const json::value* value = find_member(object, name);
  return value != nullptr && value->is_string() ? std::optional(text_of(*value)) : std::nullopt;
}

bool flag_member(const json::object& object, std::string_view name) {
  const json::value* value = find_member(object, name);
  return value != nullptr && value->is_bool() && value->get_bool();
}

std::vector<std::string> texts_of(const json::value& value) {
  std::vector<std::string> texts;
  if (value.is_string()) {
    texts.push_back(text_of(value));
  } else {
    for (const json::value& element : value.get_array()) {
      texts.push_back(text_of(element));
    }
  }
  return texts;
}

policy::Limits limits_of(const json::object& vector) {
  return text_member(vector, "profile") == "strict" ? policy::Limits::strict()
                                                    : policy::Limits::extended();
}

policy::CertificateFacts read_certificate(const json::object& object) {
  policy::CertificateFacts facts;
  facts.id = text_member(object, "id").value_or("");
  facts.serial = text_member(object, "serial").value_or("");
  if (const json::value* keys = find_member(object, "available_keys")) {
    facts.available_keys = texts_of(*keys);
  }
  for (const auto& [name, values] : object.at("subject").get_object()) {
    facts.subject[std::string(name.data(), name.size())] = texts_of(values);
  }
  for (const auto& [name, values] : object.at("issuer").get_object()) {
    facts.issuer[std::string(name.data(), name.size())] = texts_of(values);
  }
  return facts;
}

policy::Context read_context(const json::object& object) {
  policy::Context context;
  const std::string protocol = text_member(object, "protocol").value_or("mqtt");
  context.protocol = protocol == "https" ? policy::Protocol::kHttps
                     : protocol == "ws"  ? policy::Protocol::kWebSocket
                                         : policy::Protocol::kMqtt;
  context.client_id = text_member(object, "client_id");
  context.source_ip = text_member(object, "source_ip");
  context.domain_name = text_member(object, "domain_name");
  context.principal_id = text_member(object, "principal_id");
  const std::optional<std::string> thing_name = text_member(object, "thing_name");
  if (thing_name && flag_member(object, "is_attached") &&
      policy::is_associated(
          context.client_id.value_or(""), *thing_name, flag_member(object, "exclusive")
      )) {
    policy::ThingFacts thing{
        .name = *thing_name, .type = text_member(object, "thing_type"), .attributes = {}};
    for (const auto& [name, value] : object.at("thing_attributes").get_object()) {
      thing.attributes[std::string(name.data(), name.size())] = text_of(value);
    }
    context.thing = std::move(thing);
  }
  if (const json::value* certificate = find_member(object, "certificate");
      certificate != nullptr && certificate->is_object()) {
    context.certificate = read_certificate(certificate->get_object());
  }
  if (const json::value* keys = find_member(object, "keys")) {
    for (const auto& [name, value] : keys->get_object()) {
      const std::string key(name.data(), name.size());
      if (value.is_array()) {
        context.set(key, texts_of(value));
      } else if (value.is_string()) {
        context.set(key, text_of(value));
      }
    }
  }
  return context;
}

// Adds the documents under `member`; the error of the first that is refused.
Status read_policies(
    const json::object& vector,
    std::string_view member,
    std::vector<policy::NamedDocument>& policies
) {
  const json::value* documents = find_member(vector, member);
  if (documents == nullptr) {
    return {};
  }
  for (const json::value& document : documents->get_array()) {
    const std::string text = document.is_string() ? text_of(document) : to_json(document);
    IOTCORE_ASSIGN(policy::Document parsed, policy::parse_document(text, limits_of(vector)));
    policies.push_back({"policy-" + std::to_string(policies.size() + 1), std::move(parsed)});
  }
  return {};
}

std::string decide(const json::object& vector) {
  const policy::Context context = read_context(vector.at("context").get_object());
  std::vector<policy::NamedDocument> policies;
  Status read = read_policies(vector, "policies", policies);
  if (read && context.thing) {
    read = read_policies(vector, "group_policies", policies);
  }
  if (!read) {
    return "refused: " + read.error().message();
  }
  const json::object& request = vector.at("request").get_object();
  const std::string action = text_of(request.at("action"));
  std::vector<std::string> resources = {text_of(request.at("resource"))};
  if (const json::value* also = find_member(request, "also")) {
    for (const json::value& resource : also->get_array()) {
      resources.push_back(text_of(resource));
    }
  }
  const std::vector<std::string_view> views(resources.begin(), resources.end());
  const policy::Decision plain = policy::evaluate(policies, context, action, views).decision;
  const auto compiled = policy::CompiledPolicies::compile(std::move(policies), kArnPrefix);
  const policy::BoundPolicies bound = compiled->bind(context);
  if (bound.decide(action, views) != plain) {
    return "the compiled policies say " +
           std::string(policy::to_string(bound.decide(action, views).verdict)) + ", the rules " +
           std::string(policy::to_string(plain.verdict));
  }
  return std::string(policy::to_string(plain.verdict));
}

void run_vector(const json::object& vector, Report& report) {
  std::string expected;
  std::string got;
  if (const auto error = text_member(vector, "expect_error")) {
    expected = *error;
    const auto parsed = policy::parse_document(text_of(vector.at("document")), limits_of(vector));
    got =
        parsed ? "accepted" : std::string(errc_info(parsed.error().code()).exception) + "Exception";
  } else {
    expected = text_of(vector.at("expect"));
    got = decide(vector);
  }
  const std::string id = text_of(vector.at("id"));
  if (got == expected) {
    report.pass();
  } else if (flag_member(vector, "uncertain")) {
    report.differ(id, expected, got);
  } else {
    report.fail(id, expected, got);
  }
}

}  // namespace

void run_policy(std::istream& in, Report& report) {
  std::string line;
  while (std::getline(in, line)) {
    const Result<json::value> vector = parse_json(line);
    if (!vector || !vector->is_object()) {
      report.fail(line.substr(0, 60), "a vector", "no JSON object");
      continue;
    }
    run_vector(vector->get_object(), report);
  }
}

}  // namespace iotcore::vectors
