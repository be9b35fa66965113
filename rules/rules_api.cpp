#include "rules/rules_api.h"

#include "base/crypto.h"
#include "broker/topic.h"
#include "registry/list_token.h"

#include <fmt/format.h>

#include <algorithm>

namespace iotcore::rules {
namespace {

constexpr std::size_t kPageDefault = 1000;
constexpr std::string_view kTokenKind = "rules";
// What AWS's model has as a number in an action.
constexpr std::string_view kNumbers[] = {
    "qos", "maxBatchOpenMs", "maxBatchSize", "maxBatchSizeBytes"};

std::string arn_of(const Engine& engine, std::string_view name) {
  const broker::BrokerOptions& account = engine.account();
  return fmt::format("arn:aws:iot:{}:{}:rule/{}", account.region, account.account, name);
}

// A template may be given as a number (topic = 5); AWS's SDKs read text there, and fail on anything else.
void numbers_as_text(json::value& value, std::string_view name) {
  if (json::object* const object = value.if_object()) {
    for (auto& member : *object) {
      numbers_as_text(member.value(), {member.key().data(), member.key().size()});
    }
  } else if (json::array* const array = value.if_array()) {
    for (json::value& each : *array) {
      numbers_as_text(each, name);
    }
  } else if (value.is_number() && std::ranges::find(kNumbers, name) == std::end(kNumbers)) {
    value = to_json(value);
  }
}

// An action as AWS's model has it; what is not AWS's is as it was given.
std::string shown_action(json::object action) {
  const std::string_view kind = action_member(action);
  if (kind != kOwnActions) {
    numbers_as_text(action[kind], kind);
  }
  return to_json(json::value(std::move(action)));
}

Result<json::value> parse_action(const std::string& text, const std::string& member) {
  Result<json::value> action = parse_json(text);
  if (!action || !action->is_object()) {
    return fail(Errc::kInvalidRequest, member + " must be an object");
  }
  return action;
}

Result<RuleDefinition> to_definition(
    const std::string& name, const api::TopicRulePayload& payload
) {
  json::object object;
  object["sql"] = payload.sql();
  if (payload.has_description()) {
    object["description"] = payload.description();
  }
  json::array actions;
  for (int i = 0; i < payload.actions_size(); ++i) {
    IOTCORE_ASSIGN(
        json::value action, parse_action(payload.actions(i), fmt::format("actions[{}]", i))
    );
    actions.push_back(std::move(action));
  }
  object["actions"] = std::move(actions);
  object["ruleDisabled"] = payload.rule_disabled();
  if (payload.has_aws_iot_sql_version()) {
    object["awsIotSqlVersion"] = payload.aws_iot_sql_version();
  }
  if (payload.has_error_action()) {
    IOTCORE_ASSIGN(object["errorAction"], parse_action(payload.error_action(), "errorAction"));
  }
  return from_topic_rule_payload(name, object);
}

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      const std::optional<std::string> byte = from_hex(text.substr(i + 1, 2));
      if (!byte || byte->size() != 1) {
        return std::nullopt;
      }
      out += *byte;
      i += 2;
    }
  }
  return out;
}

// "k1=v1&k2=v2", as in a query.
Result<std::vector<std::pair<std::string, std::string>>> parse_tags(std::string_view text) {
  constexpr std::size_t kTagsMax = 50;
  std::vector<std::pair<std::string, std::string>> tags;
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(text.size(), pair.size() + 1));
    if (pair.empty()) {
      continue;
    }
    const std::size_t equals = pair.find('=');
    const std::optional<std::string> key = percent_decoded(pair.substr(0, equals));
    const std::optional<std::string> value = percent_decoded(
        equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1)
    );
    if (!key || !value || key->empty() || key->size() > 128 || value->size() > 256 ||
        tags.size() == kTagsMax) {
      return fail(
          Errc::kInvalidRequest, "tags must be at most 50 pairs like key1=value1&key2=value2"
      );
    }
    if (std::ranges::any_of(tags, [&key](const auto& tag) { return tag.first == *key; })) {
      return fail(Errc::kInvalidRequest, "tags has the key " + *key + " twice");
    }
    tags.emplace_back(*key, *value);
  }
  return tags;
}

}  // namespace

Result<api::CreateTopicRuleResponse> create_topic_rule(
    Engine& engine, const api::CreateTopicRuleRequest& request
) {
  IOTCORE_ASSIGN(
      RuleDefinition rule, to_definition(request.rule_name(), request.topic_rule_payload())
  );
  IOTCORE_ASSIGN(rule.tags, parse_tags(request.tags()));
  if (Status made = engine.catalog().create(std::move(rule)); !made) {
    if (made.error().code() != Errc::kAlreadyExists) {
      return fail(std::move(made).error());
    }
    return fail(std::move(made)
                    .error()
                    .with("resourceId", request.rule_name())
                    .with("resourceArn", arn_of(engine, request.rule_name())));
  }
  return api::CreateTopicRuleResponse();
}

Result<api::ReplaceTopicRuleResponse> replace_topic_rule(
    Engine& engine, const api::ReplaceTopicRuleRequest& request
) {
  IOTCORE_ASSIGN(
      RuleDefinition rule, to_definition(request.rule_name(), request.topic_rule_payload())
  );
  IOTCORE_TRY(engine.catalog().replace(std::move(rule)));
  return api::ReplaceTopicRuleResponse();
}

Result<api::GetTopicRuleResponse> get_topic_rule(
    Engine& engine, const api::GetTopicRuleRequest& request
) {
  IOTCORE_ASSIGN(const CatalogRule rule, engine.catalog().get(request.rule_name()));
  api::GetTopicRuleResponse response;
  response.set_rule_arn(arn_of(engine, rule.definition.name));
  api::TopicRule& shown = *response.mutable_rule();
  shown.set_rule_name(rule.definition.name);
  shown.set_sql(rule.definition.sql);
  if (!rule.definition.description.empty()) {
    shown.set_description(rule.definition.description);
  }
  shown.set_created_at(rule.created_ms);
  for (const json::value& action : rule.definition.actions) {
    shown.add_actions(shown_action(action.get_object()));
  }
  shown.set_rule_disabled(rule.definition.disabled);
  shown.set_aws_iot_sql_version(rule.definition.version);
  if (rule.definition.error_action) {
    shown.set_error_action(shown_action(*rule.definition.error_action));
  }
  return response;
}

Result<api::ListTopicRulesResponse> list_topic_rules(
    Engine& engine, const api::ListTopicRulesRequest& request
) {
  std::string after;
  if (request.has_next_token()) {
    IOTCORE_ASSIGN(after, registry::name_in_token(kTokenKind, request.next_token()));
  }
  const std::size_t size =
      request.has_max_results() ? static_cast<std::size_t>(request.max_results()) : kPageDefault;
  api::ListTopicRulesResponse response;
  std::string last;
  engine.catalog().list(after, [&](const CatalogRule& rule) {
    const bool is_wanted =
        (!request.has_rule_disabled() || request.rule_disabled() == rule.definition.disabled) &&
        (!request.has_topic() ||
         (rule.topic_filter && broker::topic_matches(*rule.topic_filter, request.topic())));
    if (!is_wanted) {
      return true;
    }
    if (static_cast<std::size_t>(response.rules_size()) == size) {
      response.set_next_token(registry::list_token(kTokenKind, last));
      return false;
    }
    last = rule.definition.name;
    api::ListTopicRulesResponse::Rule& shown = *response.add_rules();
    shown.set_rule_arn(arn_of(engine, last));
    shown.set_rule_name(last);
    if (rule.topic_filter) {
      shown.set_topic_pattern(*rule.topic_filter);
    }
    shown.set_created_at(rule.created_ms);
    shown.set_rule_disabled(rule.definition.disabled);
    return true;
  });
  return response;
}

Result<api::EnableTopicRuleResponse> enable_topic_rule(
    Engine& engine, const api::EnableTopicRuleRequest& request
) {
  IOTCORE_TRY(engine.catalog().set_enabled(request.rule_name(), true));
  return api::EnableTopicRuleResponse();
}

Result<api::DisableTopicRuleResponse> disable_topic_rule(
    Engine& engine, const api::DisableTopicRuleRequest& request
) {
  IOTCORE_TRY(engine.catalog().set_enabled(request.rule_name(), false));
  return api::DisableTopicRuleResponse();
}

Result<api::DeleteTopicRuleResponse> delete_topic_rule(
    Engine& engine, const api::DeleteTopicRuleRequest& request
) {
  IOTCORE_TRY(engine.catalog().erase(request.rule_name()));
  return api::DeleteTopicRuleResponse();
}

}  // namespace iotcore::rules
