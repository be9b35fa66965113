#pragma once

#include "base/json.h"
#include "rules/sink.h"
#include "rules/targets.h"

#include <memory>

namespace iotcore::rules::actions {

// dynamoDB and dynamoDBv2 in DynamoDB itself, or what speaks as it does: the item, put, updated or deleted.
Result<std::unique_ptr<Sink>> make_aws_table(
    const TargetRef& target, const SinkEnvironment& environment
);
Result<std::unique_ptr<Sink>> make_aws_table_v2(
    const TargetRef& target, const SinkEnvironment& environment
);

// A value as DynamoDB's JSON has it: {"S": "a"}, {"N": "1"}, {"M": {…}}.
json::object dynamo_attribute(const json::value& value);

}  // namespace iotcore::rules::actions
