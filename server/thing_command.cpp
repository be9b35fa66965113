#include "base/files.h"
#include "server/api_client.h"
#include "server/commands.h"

#include <fmt/format.h>

#include <cstdio>

namespace iotcore::server {
namespace {

constexpr std::string_view kDevicePolicy = "iotcore-device";

// A device may be itself: connect under its thing's name, use topics below that name, and its own shadow.
constexpr std::string_view kDevicePolicyDocument = R"({"Version":"2012-10-17","Statement":[
{"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/${iot:Connection.Thing.ThingName}"},
{"Effect":"Allow","Action":["iot:Publish","iot:Receive","iot:RetainPublish"],"Resource":[
"arn:aws:iot:*:*:topic/${iot:Connection.Thing.ThingName}/*",
"arn:aws:iot:*:*:topic/$aws/things/${iot:Connection.Thing.ThingName}/*"]},
{"Effect":"Allow","Action":"iot:Subscribe","Resource":[
"arn:aws:iot:*:*:topicfilter/${iot:Connection.Thing.ThingName}/*",
"arn:aws:iot:*:*:topicfilter/$aws/things/${iot:Connection.Thing.ThingName}/*"]}]})";

Result<std::string> text_member(const json::value& value, std::string_view name) {
  const json::value* member = value.is_object() ? find_member(value.get_object(), name) : nullptr;
  if (member == nullptr || !member->is_string()) {
    return fail(Errc::kInternal, "the server's answer has no " + std::string(name));
  }
  return std::string(member->get_string());
}

Status ensure_policy(const ApiClient& api, const std::string& policy) {
  if (policy != kDevicePolicy) {
    return {};
  }
  json::object body;
  body["policyDocument"] = kDevicePolicyDocument;
  const auto made = api.call("POST", "/policies/" + policy, &body);
  if (!made && made.error().code() != Errc::kAlreadyExists) {
    return fail(made.error());
  }
  return {};
}

struct Identity {
  std::string arn;
  std::string certificate_pem;
  std::string private_key_pem;
};

Result<Identity> make_identity(const ApiClient& api) {
  IOTCORE_ASSIGN(
      const json::value made, api.call("POST", "/keys-and-certificate?setAsActive=true")
  );
  Identity identity;
  IOTCORE_ASSIGN(identity.arn, text_member(made, "certificateArn"));
  IOTCORE_ASSIGN(identity.certificate_pem, text_member(made, "certificatePem"));
  const json::value* pair = find_member(made.get_object(), "keyPair");
  if (pair == nullptr) {
    return fail(Errc::kInternal, "the server's answer has no keyPair");
  }
  IOTCORE_ASSIGN(identity.private_key_pem, text_member(*pair, "PrivateKey"));
  return identity;
}

}  // namespace

Status create_thing(const ThingCreateOptions& options) {
  IOTCORE_ASSIGN(const ApiClient api, ApiClient::open(options.data_dir));
  std::error_code error;
  std::filesystem::create_directories(options.out, error);
  if (error) {
    return fail(Errc::kStoreIo, "--out " + options.out.string() + ": " + error.message());
  }
  const json::object empty;
  const std::string thing = net::percent_encode(options.name);
  if (auto made = api.call("POST", "/things/" + thing, &empty); !made) {
    return fail(made.error());
  }
  const std::string policy = options.policy.empty() ? std::string(kDevicePolicy) : options.policy;
  IOTCORE_TRY(ensure_policy(api, policy));
  IOTCORE_ASSIGN(const Identity identity, make_identity(api));
  json::object target;
  target["target"] = identity.arn;
  if (auto attached = api.call("PUT", "/target-policies/" + net::percent_encode(policy), &target);
      !attached) {
    return fail(attached.error());
  }
  if (auto attached = api.call(
          "PUT",
          "/things/" + thing + "/principals",
          nullptr,
          net::HttpHeaders{{"x-amzn-principal", identity.arn}}
      );
      !attached) {
    return fail(attached.error());
  }
  const auto path = [&options](const char* suffix) {
    return options.out / (options.name + suffix);
  };
  IOTCORE_TRY(write_file(path(".cert.pem"), identity.certificate_pem, FileMode::kPublic));
  IOTCORE_TRY(write_file(path(".key.pem"), identity.private_key_pem, FileMode::kPrivate));
  IOTCORE_TRY(write_file(options.out / "ca.pem", api.ca_pem(), FileMode::kPublic));
  const std::string text = fmt::format(
      "Thing {0} has a certificate with the policy {1}; its files are in {2}. Try:\n\n"
      "  mosquitto_pub -h localhost -p {3} --cafile {2}/ca.pem --cert {2}/{0}.cert.pem "
      "--key {2}/{0}.key.pem -i {0} -t {0}/telemetry -q 1 -m '{{\"temperature\": 21.5}}'\n",
      options.name,
      policy,
      options.out.string(),
      api.mqtts_port()
  );
  std::fputs(text.c_str(), stdout);
  return {};
}

}  // namespace iotcore::server
