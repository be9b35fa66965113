#include "gateway/call_control.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

namespace iotcore::gateway {

std::vector<std::string> resources_of(
    const Operation& operation,
    const google::protobuf::Message& request,
    std::string_view arn_prefix
) {
  std::vector<std::string> out;
  for (const ResourcePattern& pattern : operation.resources) {
    std::string name;
    if (pattern.member != nullptr) {
      name = request.GetReflection()->GetString(request, pattern.member->field);
    }
    if (pattern.prefix.empty()) {
      out.push_back(name.empty() ? "*" : std::move(name));
    } else {
      out.push_back(std::string(arn_prefix).append(pattern.prefix).append(name));
    }
  }
  if (out.empty()) {
    out.emplace_back("*");
  }
  return out;
}

}  // namespace iotcore::gateway
