#pragma once

#include "base/result.h"

#include <optional>
#include <string>
#include <string_view>

namespace iotcore::registry {

// The region and the account that this server plays: they stand in every ARN.
struct Account {
  std::string region = "us-east-1";
  std::string id = "000000000000";

  // "arn:aws:iot:us-east-1:000000000000:"
  std::string arn_prefix() const { return "arn:aws:iot:" + region + ":" + id + ":"; }

  std::string arn(std::string_view resource) const { return arn_prefix().append(resource); }

  std::string arn(std::string_view kind, std::string_view name) const {
    return arn_prefix().append(kind).append("/").append(name);
  }
};

// What a principal or a policy target is to us, short ("cert/<id>"): rows hold this, so that a
// change of region or account touches none of them.
struct Principal {
  enum class Kind { kCertificate, kThingGroup, kCognito };

  Kind kind;
  std::string resource;

  // The id of a certificate, the name of a group.
  std::string_view name() const {
    return std::string_view(resource).substr(resource.find('/') + 1);
  }
};

inline std::string certificate_resource(std::string_view id) {
  return std::string("cert/").append(id);
}

// An ARN of this account, or a Cognito identity ("us-east-1:<uuid>"). kInvalidRequest if it is
// neither.
Result<Principal> parse_principal(const Account& account, std::string_view text);
// The way back.
std::string principal_text(const Account& account, std::string_view resource);

}  // namespace iotcore::registry
