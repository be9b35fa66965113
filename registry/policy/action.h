#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace iotcore::registry::policy {

// Every action that this server asks about.
enum class Action : std::uint8_t {
  kConnect,
  kPublish,
  kRetainPublish,
  kSubscribe,
  kReceive,
  kGetRetainedMessage,
  kListRetainedMessages,
  kGetThingShadow,
  kUpdateThingShadow,
  kDeleteThingShadow,
  kListNamedShadowsForThing,
  kDescribeJobExecution,
  kGetPendingJobExecutions,
  kStartNextPendingJobExecution,
  kUpdateJobExecution,
  kDeleteConnection,
  kGetConnection,
  kListSubscriptions,
  kSendDirectMessage,
  kAssumeRoleWithCertificate,
  kCount_,
};

// What stands before the name in the resource ARN of an action.
enum class ResourceKind : std::uint8_t {
  kClient,
  kTopic,
  kTopicFilter,
  kThing,
  kRoleAlias,
  kAny,
  kCount_
};

struct ActionInfo {
  std::string_view name;      // "iot:Publish"
  std::string_view old_name;  // under which policies may know it, too; or empty
  ResourceKind resource;
};

const ActionInfo& action_info(Action action);
std::optional<Action> find_action(std::string_view name);
// "topic/"; empty for kAny, whose only resource is "*".
std::string_view resource_prefix(ResourceKind kind);

}  // namespace iotcore::registry::policy
