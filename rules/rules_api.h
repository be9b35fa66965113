#pragma once

#include "base/result.h"
#include "proto/api/rules.pb.h"
#include "rules/engine.h"

// The REST operations on rules: each a translation between messages and the catalog. They block.
namespace iotcore::rules {

Result<api::CreateTopicRuleResponse> create_topic_rule(
    Engine& engine, const api::CreateTopicRuleRequest& request
);
Result<api::ReplaceTopicRuleResponse> replace_topic_rule(
    Engine& engine, const api::ReplaceTopicRuleRequest& request
);
Result<api::GetTopicRuleResponse> get_topic_rule(
    Engine& engine, const api::GetTopicRuleRequest& request
);
Result<api::ListTopicRulesResponse> list_topic_rules(
    Engine& engine, const api::ListTopicRulesRequest& request
);
Result<api::EnableTopicRuleResponse> enable_topic_rule(
    Engine& engine, const api::EnableTopicRuleRequest& request
);
Result<api::DisableTopicRuleResponse> disable_topic_rule(
    Engine& engine, const api::DisableTopicRuleRequest& request
);
Result<api::DeleteTopicRuleResponse> delete_topic_rule(
    Engine& engine, const api::DeleteTopicRuleRequest& request
);

}  // namespace iotcore::rules
