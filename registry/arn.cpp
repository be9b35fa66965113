#include "registry/arn.h"

#include <algorithm>

namespace iotcore::registry {
namespace {

constexpr std::string_view kCertificate = "cert/";
constexpr std::string_view kThingGroup = "thinggroup/";
constexpr std::string_view kUser = "user/";
constexpr std::string_view kRole = "role/";

std::string iam_prefix(const Account& account) {
  return "arn:aws:iam::" + account.id + ":";
}

bool is_certificate_id(std::string_view id) {
  return id.size() == 64 && id.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= 128 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == ':' ||
           c == '_' || c == '-';
  });
}

// "region:uuid"
bool is_cognito_identity(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0 || text.size() - colon - 1 != 36) {
    return false;
  }
  const std::string_view uuid = text.substr(colon + 1);
  return uuid.find_first_not_of("0123456789abcdefABCDEF-") == std::string_view::npos &&
         text.substr(0, colon).find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") ==
             std::string_view::npos;
}

}  // namespace

std::string normal_certificate_id(std::string_view id) {
  if (id.substr(0, 2) == "0x") {
    id.remove_prefix(2);
  }
  std::string out(id);
  for (char& c : out) {
    c = c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return out;
}

bool is_iam_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_+=,.@-").find(c) != std::string_view::npos;
  });
}

namespace {

// A role's name, which may stand behind a path: "service-role/NAME".
bool is_role_name(std::string_view name) {
  constexpr std::size_t kPathMax = 512;
  const std::size_t slash = name.rfind('/');
  if (slash == std::string_view::npos) {
    return is_iam_name(name);
  }
  const std::string_view path = name.substr(0, slash);
  return !path.empty() && path.size() <= kPathMax && is_iam_name(name.substr(slash + 1)) &&
         std::all_of(path.begin(), path.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

}  // namespace

bool is_role_arn(std::string_view arn) {
  constexpr std::string_view kService = ":iam::";
  constexpr std::size_t kAccountDigits = 12;
  const std::size_t service = arn.find(kService);
  if (!arn.starts_with("arn:aws") || service == std::string_view::npos) {
    return false;
  }
  // "aws", or one of its partitions: "aws-cn", "aws-us-gov".
  const std::string_view partition = arn.substr(4, service - 4);
  const std::string_view account = arn.substr(service + kService.size(), kAccountDigits);
  const std::string_view rest =
      arn.substr(std::min(arn.size(), service + kService.size() + kAccountDigits));
  return partition.find_first_not_of("abcdefghijklmnopqrstuvwxyz-") == std::string_view::npos &&
         account.size() == kAccountDigits &&
         account.find_first_not_of("0123456789") == std::string_view::npos &&
         rest.starts_with(":role/") && is_role_name(rest.substr(6));
}

Result<Principal> parse_principal(const Account& account, std::string_view text) {
  if (is_cognito_identity(text)) {
    return Principal{Principal::Kind::kCognito, std::string(text)};
  }
  const std::string iam = iam_prefix(account);
  if (text.substr(0, iam.size()) == iam) {
    const std::string_view resource = text.substr(iam.size());
    if (resource.substr(0, kUser.size()) == kUser && is_iam_name(resource.substr(kUser.size()))) {
      return Principal{Principal::Kind::kUser, std::string(resource)};
    }
    if (resource.substr(0, kRole.size()) == kRole && is_role_name(resource.substr(kRole.size()))) {
      return Principal{Principal::Kind::kRole, std::string(resource)};
    }
  }
  const std::string prefix = account.arn_prefix();
  if (text.substr(0, prefix.size()) == prefix) {
    const std::string_view resource = text.substr(prefix.size());
    if (resource.substr(0, kCertificate.size()) == kCertificate &&
        is_certificate_id(resource.substr(kCertificate.size()))) {
      return Principal{Principal::Kind::kCertificate, std::string(resource)};
    }
    if (resource.substr(0, kThingGroup.size()) == kThingGroup &&
        is_name(resource.substr(kThingGroup.size()))) {
      return Principal{Principal::Kind::kThingGroup, std::string(resource)};
    }
  } else if (text.substr(0, 4) == "arn:") {
    return fail(
        Errc::kInvalidRequest,
        "The ARN is not one of this account: expected " + prefix + "cert/CERTIFICATE_ID"
    );
  }
  return fail(
      Errc::kInvalidRequest,
      "Neither the ARN of a certificate, a thing group, a user or a role nor a Cognito identity id"
  );
}

std::string principal_text(const Account& account, std::string_view resource) {
  const bool cognito = resource.find('/') == std::string_view::npos;
  if (resource.substr(0, kUser.size()) == kUser || resource.substr(0, kRole.size()) == kRole) {
    return iam_prefix(account).append(resource);
  }
  return cognito ? std::string(resource) : account.arn(resource);
}

}  // namespace iotcore::registry
