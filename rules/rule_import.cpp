#include "rules/rule_import.h"

#include "rules/sql/source_error.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string>

namespace iotcore::rules {
namespace {

constexpr std::string_view kRuleType = "AWS::IoT::TopicRule";

tl::unexpected<Error> invalid(std::string message) {
  return fail(Errc::kInvalidRequest, std::move(message));
}

const json::object* object_member(const json::object& object, std::string_view name) {
  const json::value* member = find_member(object, name);
  return member != nullptr && member->is_object() ? &member->get_object() : nullptr;
}

std::string text_member(const json::object& object, std::string_view name) {
  const json::value* member = find_member(object, name);
  return member != nullptr && member->is_string() ? std::string(member->get_string()) : "";
}

// CloudFormation's members begin with a capital: "TopicName" for "topicName". The few whose AWS spelling can't be told from that.
std::string api_name(std::string_view name) {
  struct Odd {
    std::string_view formation;
    std::string_view api;
  };

  static constexpr auto kOdd = std::to_array<Odd>({
      {"DynamoDB", "dynamoDB"},
      {"DynamoDBv2", "dynamoDBv2"},
      {"OpenSearch", "openSearch"},
      {"InfluxDB", "influxDB"},
  });
  const auto* odd = std::ranges::find(kOdd, name, &Odd::formation);
  if (odd != kOdd.end()) {
    return std::string(odd->api);
  }
  std::string out(name);
  out[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(out[0])));
  return out;
}

// Free names stay as they are: only these hold them.
bool has_free_names(std::string_view member) {
  return member == "clientProperties" || member == "tags";
}

json::value to_api(const json::value& value) {
  if (value.is_array()) {
    json::array out;
    for (const json::value& each : value.get_array()) {
      out.push_back(to_api(each));
    }
    return out;
  }
  if (!value.is_object()) {
    return value;
  }
  json::object out;
  for (const auto& member : value.get_object()) {
    const std::string_view written(member.key().data(), member.key().size());
    const std::string name = written.empty() ? std::string() : api_name(written);
    out[name] = has_free_names(name) ? member.value() : to_api(member.value());
  }
  return out;
}

// An intrinsic function somewhere: its value is known to CloudFormation alone.
std::optional<std::string> intrinsic_in(const json::value& value) {
  if (value.is_array()) {
    for (const json::value& each : value.get_array()) {
      if (auto found = intrinsic_in(each)) {
        return found;
      }
    }
  }
  if (value.is_object()) {
    for (const auto& member : value.get_object()) {
      const std::string_view name(member.key().data(), member.key().size());
      if (name == "Ref" || name.starts_with("Fn::")) {
        return std::string(name);
      }
      if (auto found = intrinsic_in(member.value())) {
        return found;
      }
    }
  }
  return std::nullopt;
}

Result<RuleDefinition> from_payload(std::string_view name, json::object payload) {
  for (const char* told : {"ruleName", "createdAt", "ruleArn"}) {
    payload.erase(told);
  }
  return from_topic_rule_payload(name, payload);
}

// A role need not be one that we can name.
void replace_roles(json::value& value) {
  if (value.is_array()) {
    for (json::value& each : value.get_array()) {
      replace_roles(each);
    }
  } else if (value.is_object()) {
    for (auto& member : value.get_object()) {
      if (member.key() == "RoleArn" && !member.value().is_string()) {
        member.value() = "arn:aws:iam::000000000000:role/imported";
      }
      replace_roles(member.value());
    }
  }
}

Result<RuleDefinition> from_formation(std::string_view logical_name, const json::object& resource) {
  const json::object* properties = object_member(resource, "Properties");
  const json::object* payload =
      properties == nullptr ? nullptr : object_member(*properties, "TopicRulePayload");
  if (payload == nullptr) {
    return invalid(fmt::format("resource {} has no TopicRulePayload", logical_name));
  }
  json::value known(*payload);
  replace_roles(known);
  if (const std::optional<std::string> function = intrinsic_in(known)) {
    return invalid(fmt::format(
        "resource {} uses {}, which CloudFormation alone can resolve: write the value instead",
        logical_name,
        *function
    ));
  }
  std::string name = text_member(*properties, "RuleName");
  if (name.empty()) {
    name = logical_name;
  }
  json::value payload_of_api = to_api(known);
  IOTCORE_ASSIGN(RuleDefinition rule, from_payload(name, std::move(payload_of_api.get_object())));
  if (const json::value* tags = find_member(*properties, "Tags"); tags && tags->is_array()) {
    for (const json::value& tag : tags->get_array()) {
      if (tag.is_object()) {
        rule.tags.emplace_back(
            text_member(tag.get_object(), "Key"), text_member(tag.get_object(), "Value")
        );
      }
    }
  }
  return rule;
}

Result<std::vector<RuleDefinition>> from_template(const json::object& resources) {
  std::vector<RuleDefinition> rules;
  for (const auto& resource : resources) {
    if (!resource.value().is_object() ||
        text_member(resource.value().get_object(), "Type") != kRuleType) {
      continue;
    }
    const std::string_view name(resource.key().data(), resource.key().size());
    IOTCORE_ASSIGN(RuleDefinition rule, from_formation(name, resource.value().get_object()));
    rules.push_back(std::move(rule));
  }
  if (rules.empty()) {
    return invalid(fmt::format("the template has no resource of type {}", kRuleType));
  }
  return rules;
}

}  // namespace

Result<std::vector<RuleDefinition>> import_rules(std::string_view text, std::string_view name) {
  IOTCORE_ASSIGN(const json::value document, parse_json(text));
  if (!document.is_object()) {
    return invalid("not an object");
  }
  const json::object& object = document.get_object();
  if (const json::object* resources = object_member(object, "Resources")) {
    return from_template(*resources);
  }
  std::vector<RuleDefinition> rules;
  const auto add = [&rules](Result<RuleDefinition> rule) -> Status {
    if (!rule) {
      return fail(rule.error());
    }
    rules.push_back(std::move(*rule));
    return {};
  };
  if (text_member(object, "Type") == kRuleType) {
    IOTCORE_TRY(add(from_formation(name, object)));
    return rules;
  }
  const json::object* payload = object_member(object, "topicRulePayload");
  std::string own_name = text_member(object, "ruleName");
  if (payload == nullptr) {
    payload = object_member(object, "rule");
    own_name = payload == nullptr ? "" : text_member(*payload, "ruleName");
  }
  if (payload == nullptr) {
    payload = &object;
  }
  if (!name.empty()) {
    own_name = name;
  }
  if (own_name.empty()) {
    return invalid("the rule's name is not in it: give it with --name");
  }
  IOTCORE_TRY(add(from_payload(own_name, *payload)));
  return rules;
}

}  // namespace iotcore::rules
