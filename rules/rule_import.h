#pragma once

#include "rules/rule_definition.h"

#include <string_view>
#include <vector>

namespace iotcore::rules {

// The rules of a JSON text that was made for AWS, in any of the forms in which people keep them:
//   {"ruleName": …, "topicRulePayload": {…}}    create-topic-rule --cli-input-json
//   {"rule": {…, "ruleName": …}}                what get-topic-rule answers
//   {"sql": …, "actions": […]}                  --topic-rule-payload; its name is `name`
//   {"Resources": {…}}                          a CloudFormation template, or one resource of it; members in its spelling, names of rules from RuleName or
//                                               the resource's logical name
// What belongs to AWS alone (creation dates) is left out.
Result<std::vector<RuleDefinition>> import_rules(std::string_view text, std::string_view name);

}  // namespace iotcore::rules
