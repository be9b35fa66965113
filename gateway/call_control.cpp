#include "gateway/call_control.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

namespace iotcore::gateway {
namespace {

// What the request gives of a member, which holds text.
std::vector<std::string> values_of(
    const google::protobuf::Message& request, const MemberPlan& member
) {
  const auto& reflection = *request.GetReflection();
  std::vector<std::string> out;
  if (member.field->is_repeated()) {
    for (int i = 0; i < reflection.FieldSize(request, member.field); ++i) {
      out.push_back(reflection.GetRepeatedString(request, member.field, i));
    }
  } else if (std::string value = reflection.GetString(request, member.field); !value.empty()) {
    out.push_back(std::move(value));
  }
  return out;
}

}  // namespace

std::vector<std::string> resources_of(
    const Operation& operation,
    const google::protobuf::Message& request,
    std::string_view arn_prefix
) {
  std::vector<std::string> out;
  for (const ResourcePattern& pattern : operation.resources) {
    if (pattern.member == nullptr) {
      out.push_back(pattern.prefix == "*" ? "*" : std::string(arn_prefix).append(pattern.prefix));
      continue;
    }
    for (std::string& given : values_of(request, *pattern.member)) {
      out.push_back(
          pattern.prefix.empty() ? std::move(given)
                                 : std::string(arn_prefix).append(pattern.prefix).append(given)
      );
    }
  }
  if (out.empty()) {
    out.emplace_back("*");
  }
  return out;
}

}  // namespace iotcore::gateway
