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
// change of region or account touches none of them. Users are operators, whose access keys sign; roles are what temporary credentials stand for, and
// are nothing but a name here.
struct Principal {
  enum class Kind { kCertificate, kThingGroup, kCognito, kUser, kRole };

  Kind kind;
  std::string resource;

  // A device's: what things have, and what connects.
  bool is_device() const { return kind == Kind::kCertificate || kind == Kind::kCognito; }

  // The id of a certificate, the name of a group, a user or a role.
  std::string_view name() const {
    return std::string_view(resource).substr(resource.find('/') + 1);
  }
};

inline std::string certificate_resource(std::string_view id) {
  return std::string("cert/").append(id);
}

// As rows have it: lower case, without the 0x that AWS's model allows.
std::string normal_certificate_id(std::string_view id);

inline std::string thing_group_resource(std::string_view name) {
  return std::string("thinggroup/").append(name);
}

inline std::string user_resource(std::string_view name) {
  return std::string("user/").append(name);
}

inline std::string role_resource(std::string_view name) {
  return std::string("role/").append(name);
}

// What a user or a role may be called.
bool is_iam_name(std::string_view name);

// Whether that is what a role's ARN looks like, whose ever it is: arn:aws:iam::ACCOUNT:role/NAME.
bool is_role_arn(std::string_view arn);

// An ARN of this account (of iot: a certificate, a thing group; of iam: a user, a role with its path), or a Cognito identity ("us-east-1:<uuid>"). kInvalidRequest if
// it is neither.
Result<Principal> parse_principal(const Account& account, std::string_view text);
// The way back.
std::string principal_text(const Account& account, std::string_view resource);

}  // namespace iotcore::registry
