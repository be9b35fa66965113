#pragma once

#include "base/result.h"
#include "gateway/operation_table.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace google::protobuf {
class Message;
}

namespace iotcore::registry {
struct Operator;
}

namespace iotcore::gateway {

struct CallerIdentity;

// Decides what operators may call. Devices are decided on where their resources are known (registry::HttpAuthorizer).
class AccessControl {
 public:
  virtual ~AccessControl() = default;
  // Nobody has to ask for them. Never blocks.
  virtual bool is_unrestricted(const CallerIdentity& caller) const = 0;
  // Whether each of the resources (ARNs) is allowed. kAccessDenied. Blocking.
  virtual Status allows(
      const CallerIdentity& caller, std::string_view action, std::span<const std::string> resources
  ) = 0;
};

// One call of the control plane and how it ended. Points to what lives until record() returns.
struct CallRecordView {
  const CallerIdentity& caller;
  std::string_view operation;  // empty: none was found
  std::span<const std::string> resources;
  std::string_view request_id;
  std::string_view user_agent;
  std::uint16_t status = 200;
  std::string_view error;  // the exception's name, or empty
};

// Told of every call of the control plane, also of those that were refused.
class CallAudit {
 public:
  virtual ~CallAudit() = default;
  // Any thread.
  virtual void record(const CallRecordView& call) = 0;
};

// The ARNs that the request is about; "*" if it names none.
std::vector<std::string> resources_of(
    const Operation& operation,
    const google::protobuf::Message& request,
    std::string_view arn_prefix
);

}  // namespace iotcore::gateway
