#pragma once

#include "base/result.h"
#include "proto/api/rule_destinations.pb.h"
#include "rules/engine.h"

// The REST operations on rule destinations. They block.
namespace iotcore::rules {

Result<api::CreateTopicRuleDestinationResponse> create_topic_rule_destination(
    Engine& engine, const api::CreateTopicRuleDestinationRequest& request
);
Result<api::GetTopicRuleDestinationResponse> get_topic_rule_destination(
    Engine& engine, const api::GetTopicRuleDestinationRequest& request
);
Result<api::ListTopicRuleDestinationsResponse> list_topic_rule_destinations(
    Engine& engine, const api::ListTopicRuleDestinationsRequest& request
);
Result<api::UpdateTopicRuleDestinationResponse> update_topic_rule_destination(
    Engine& engine, const api::UpdateTopicRuleDestinationRequest& request
);
Result<api::DeleteTopicRuleDestinationResponse> delete_topic_rule_destination(
    Engine& engine, const api::DeleteTopicRuleDestinationRequest& request
);
Result<api::ConfirmTopicRuleDestinationResponse> confirm_topic_rule_destination(
    Engine& engine, const api::ConfirmTopicRuleDestinationRequest& request
);

}  // namespace iotcore::rules
