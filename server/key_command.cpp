#include "base/files.h"
#include "server/api_client.h"
#include "server/commands.h"

#include <fmt/format.h>

#include <cstdio>
#include <ctime>

namespace iotcore::server {
namespace {

std::string text_of(const json::value& value, std::string_view name) {
  const json::value* member = value.is_object() ? find_member(value.get_object(), name) : nullptr;
  return member != nullptr && member->is_string() ? std::string(member->get_string())
                                                  : std::string();
}

const json::value& member_of(const json::value& value, std::string_view name) {
  static const json::value kNothing;
  const json::value* member = value.is_object() ? find_member(value.get_object(), name) : nullptr;
  return member == nullptr ? kNothing : *member;
}

std::string credentials_text(const json::value& key) {
  return fmt::format(
      "[{}]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
      text_of(key, "userName"),
      text_of(key, "accessKeyId"),
      text_of(key, "secretAccessKey")
  );
}

std::string date_of(const json::value& key) {
  const json::value& date = member_of(key, "createDate");
  const std::time_t seconds =
      date.is_number() ? static_cast<std::time_t>(date.to_number<double>()) : 0;
  std::tm parts = {};
  ::gmtime_r(&seconds, &parts);
  char out[32] = {};
  std::strftime(out, sizeof out, "%Y-%m-%d %H:%M:%S", &parts);
  return out;
}

std::string role_name(std::string_view option) {
  return option == "administrator" ? "ADMINISTRATOR" : option == "read-only" ? "READ_ONLY" : "NONE";
}

}  // namespace

Status create_key(const KeyOptions& options) {
  IOTCORE_ASSIGN(const ApiClient api, ApiClient::open(options.data_dir));
  json::object body;
  body["userName"] = options.user;
  if (!options.role.empty()) {
    body["role"] = role_name(options.role);
  }
  json::array policies;
  for (const std::string& policy : options.policies) {
    policies.emplace_back(policy);
  }
  body["policyNames"] = std::move(policies);
  IOTCORE_ASSIGN(const json::value made, api.call("POST", "/_iotcore/access-keys", &body));
  std::fputs(credentials_text(member_of(made, "accessKey")).c_str(), stdout);
  return {};
}

Status list_keys(const KeyOptions& options) {
  IOTCORE_ASSIGN(const ApiClient api, ApiClient::open(options.data_dir));
  std::string target = "/_iotcore/access-keys";
  while (true) {
    IOTCORE_ASSIGN(const json::value page, api.call("GET", target));
    const json::value& keys = member_of(page, "accessKeys");
    if (!keys.is_array()) {
      return fail(Errc::kInternal, "the server's answer has no accessKeys");
    }
    for (const json::value& key : keys.get_array()) {
      if (options.user.empty() || text_of(key, "userName") == options.user) {
        std::printf(
            "%-22s %-9s %-14s %s  %s\n",
            text_of(key, "accessKeyId").c_str(),
            text_of(key, "status").c_str(),
            text_of(key, "role").c_str(),
            date_of(key).c_str(),
            text_of(key, "userName").c_str()
        );
      }
    }
    const std::string next = text_of(page, "nextToken");
    if (next.empty()) {
      return {};
    }
    target = "/_iotcore/access-keys?nextToken=" + net::percent_encode(next);
  }
}

Status rotate_key(const KeyOptions& options) {
  IOTCORE_ASSIGN(const ApiClient api, ApiClient::open(options.data_dir));
  const std::string path = "/_iotcore/access-keys/" + net::percent_encode(options.id);
  IOTCORE_ASSIGN(const json::value made, api.call("POST", path + "/rotate"));
  const json::value& key = member_of(made, "accessKey");
  std::fputs(credentials_text(key).c_str(), stdout);
  // The subcommands go on with the new key if the old one was theirs.
  const auto file = options.data_dir / "credentials";
  if (auto kept = read_file(file); kept && kept->find(options.id) != std::string::npos) {
    const std::string text = fmt::format(
        "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\nregion = {}\n",
        text_of(key, "accessKeyId"),
        text_of(key, "secretAccessKey"),
        api.region()
    );
    IOTCORE_TRY(write_file(file, text, FileMode::kPrivate));
    std::fprintf(stderr, "%s holds the new key\n", file.c_str());
  }
  std::fprintf(stderr, "the old key works until: iotcore keys revoke %s\n", options.id.c_str());
  return {};
}

Status revoke_key(const KeyOptions& options) {
  IOTCORE_ASSIGN(const ApiClient api, ApiClient::open(options.data_dir));
  IOTCORE_TRY(api.call("DELETE", "/_iotcore/access-keys/" + net::percent_encode(options.id)));
  std::printf("%s is revoked\n", options.id.c_str());
  return {};
}

}  // namespace iotcore::server
