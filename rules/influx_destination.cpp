#include "rules/influx_destination.h"

#include "base/json.h"
#include "net/http_caller.h"

#include <fmt/format.h>

namespace iotcore::rules {

Status check_influx_destination(const record::RuleDestination& destination) {
  IOTCORE_TRY(net::parse_http_url(destination.endpoint()));
  if (destination.endpoint().find_first_of("?#") != std::string::npos) {
    return fail(Errc::kInvalidRequest, "the endpoint is a URL without a query");
  }
  if (destination.influx_version() != "V2" && destination.influx_version() != "V3") {
    return fail(Errc::kInvalidRequest, "influxDBVersion is V2 or V3");
  }
  const std::string& type = destination.secret_type();
  if (!type.empty() && type != "SecretString" && type != "SecretBinary") {
    return fail(Errc::kInvalidRequest, "secretType is SecretString or SecretBinary");
  }
  return {};
}

Result<InfluxAccess> open_influx_destination(
    const record::RuleDestination& destination, const SecretSource* secrets
) {
  if (secrets == nullptr) {
    return fail(Errc::kNotFound, "there are no secrets here");
  }
  InfluxAccess access;
  access.endpoint = destination.endpoint();
  while (access.endpoint.ends_with('/')) {
    access.endpoint.pop_back();
  }
  access.version = destination.influx_version().substr(1);
  IOTCORE_ASSIGN(access.token, secrets->secret(destination.secret_id()));
  if (destination.secret_key().empty()) {
    return access;
  }
  const Result<json::value> members = parse_json(access.token);
  const json::object* object = members ? members->if_object() : nullptr;
  const json::value* token =
      object == nullptr ? nullptr : find_member(*object, destination.secret_key());
  if (token == nullptr || !token->is_string()) {
    return fail(
        Errc::kNotFound,
        fmt::format(
            "secret '{}' has no member '{}'", destination.secret_id(), destination.secret_key()
        )
    );
  }
  access.token = std::string(token->get_string());
  return access;
}

Status try_influx_destination(const InfluxAccess& access, const net::HttpRules& rules) {
  const bool is_third = access.version == "3";
  net::HttpRequest request;
  request.method = "GET";
  request.headers.set(
      "Authorization", fmt::format("{} {}", is_third ? "Bearer" : "Token", access.token)
  );
  net::HttpCaller caller(rules);
  IOTCORE_ASSIGN(
      const net::HttpResponse response,
      caller.call(
          access.endpoint + (is_third ? "/api/v3/configure/database?format=json" : "/api/v2/me"),
          std::move(request)
      )
  );
  constexpr int kSuccess = 2;
  return response.status / 100 == kSuccess
             ? Status()
             : fail(Errc::kForbidden, fmt::format("InfluxDB answered {}", response.status));
}

}  // namespace iotcore::rules
