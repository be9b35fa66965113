#include "registry/policy/action.h"

#include <array>

namespace iotcore::registry::policy {
namespace {

constexpr std::array<ActionInfo, static_cast<std::size_t>(Action::kCount_)> kActions = {{
    {"iot:Connect", "", ResourceKind::kClient},
    {"iot:Publish", "", ResourceKind::kTopic},
    {"iot:RetainPublish", "", ResourceKind::kTopic},
    {"iot:Subscribe", "", ResourceKind::kTopicFilter},
    {"iot:Receive", "", ResourceKind::kTopic},
    {"iot:GetRetainedMessage", "", ResourceKind::kTopic},
    {"iot:ListRetainedMessages", "", ResourceKind::kAny},
    {"iot:GetThingShadow", "", ResourceKind::kThing},
    {"iot:UpdateThingShadow", "", ResourceKind::kThing},
    {"iot:DeleteThingShadow", "", ResourceKind::kThing},
    {"iot:ListNamedShadowsForThing", "", ResourceKind::kAny},
    {"iotjobsdata:DescribeJobExecution", "iot:DescribeJobExecution", ResourceKind::kThing},
    {"iotjobsdata:GetPendingJobExecutions", "iot:GetPendingJobExecutions", ResourceKind::kThing},
    {"iotjobsdata:StartNextPendingJobExecution",
     "iot:StartNextPendingJobExecution",
     ResourceKind::kThing},
    {"iotjobsdata:UpdateJobExecution", "iot:UpdateJobExecution", ResourceKind::kThing},
    {"iot:DeleteConnection", "", ResourceKind::kClient},
    {"iot:GetConnection", "", ResourceKind::kClient},
    {"iot:ListSubscriptions", "", ResourceKind::kClient},
    {"iot:SendDirectMessage", "", ResourceKind::kClient},
    {"iot:AssumeRoleWithCertificate", "", ResourceKind::kRoleAlias},
}};

constexpr std::array<std::string_view, static_cast<std::size_t>(ResourceKind::kCount_)> kPrefixes =
    {"client/", "topic/", "topicfilter/", "thing/", "rolealias/", ""};

}  // namespace

const ActionInfo& action_info(Action action) {
  return kActions[static_cast<std::size_t>(action)];
}

std::optional<Action> find_action(std::string_view name) {
  for (std::size_t i = 0; i < kActions.size(); ++i) {
    if (kActions[i].name == name) {
      return static_cast<Action>(i);
    }
  }
  return std::nullopt;
}

std::string_view resource_prefix(ResourceKind kind) {
  return kPrefixes[static_cast<std::size_t>(kind)];
}

}  // namespace iotcore::registry::policy
