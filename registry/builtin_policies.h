#pragma once

#include <optional>
#include <string_view>

namespace iotcore::registry {

// What the roles of operators allow, as policies whose names no caller can give (a colon is none of their characters).
inline constexpr std::string_view kAdministratorPolicy = "iotcore:administrator";
inline constexpr std::string_view kReadOnlyPolicy = "iotcore:read-only";

inline std::optional<std::string_view> builtin_policy(std::string_view name) {
  if (name == kAdministratorPolicy) {
    return R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]})";
  }
  if (name == kReadOnlyPolicy) {
    return R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[
"iot:Describe*","iot:Get*","iot:List*","iot:Search*","iot:TestAuthorization","iot:ValidateSecurityProfileBehaviors",
"iot:Connect","iot:Subscribe","iot:Receive","iotjobsdata:Describe*","iotjobsdata:Get*"],"Resource":"*"}]})";
  }
  return std::nullopt;
}

}  // namespace iotcore::registry
