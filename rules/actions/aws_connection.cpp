#include "rules/actions/aws_connection.h"

#include "net/sigv4.h"
#include "rules/http_outcome.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace iotcore::rules::actions {
namespace {

constexpr std::uint16_t kHttpsPort = 443;
constexpr std::chrono::seconds kTimeout{30};

}  // namespace

AwsOptions read_aws(MemberReader& members) {
  AwsOptions options;
  options.signing = read_signing(members);
  options.account = members.optional_text("account").value_or("000000000000");
  if (members.has("endpoint")) {
    options.http = read_http(members);
  }
  return options;
}

HttpOptions aws_http(std::string_view host, std::string_view region) {
  HttpOptions http;
  http.server.host = fmt::format("{}.{}.amazonaws.com", host, region);
  http.server.port = kHttpsPort;
  http.server.tls = true;
  http.timeout = kTimeout;
  return http;
}

Status AwsConnection::ensure_open() {
  if (connection_) {
    return {};
  }
  IOTCORE_ASSIGN(options_, open_target(*target_, targets_, read_aws));
  http_ = options_.http ? *options_.http : aws_http(endpoint_.host, options_.signing.region);
  IOTCORE_ASSIGN(net::HttpServer server, load_server(http_));
  connection_.emplace(std::move(server));
  if (!options_.http && !endpoint_.discovery.empty()) {
    const Status found = discover();
    if (!found) {
      connection_.reset();
    }
    return found;
  }
  return {};
}

Status AwsConnection::discover() {
  IOTCORE_ASSIGN(
      const net::HttpResponse response,
      call(aws_json_request(endpoint_.discovery, "1.0", json::object()))
  );
  const Result<json::value> answer = parse_json(response.body);
  const json::object* object = answer ? answer->if_object() : nullptr;
  const json::value* list = object == nullptr ? nullptr : find_member(*object, "Endpoints");
  const json::value* address = nullptr;
  if (list != nullptr && list->is_array() && !list->get_array().empty() &&
      list->get_array()[0].is_object()) {
    address = find_member(list->get_array()[0].get_object(), "Address");
  }
  if (address == nullptr || !address->is_string()) {
    return fail(
        Errc::kUnavailable,
        fmt::format("{} does not say where it is: {}", endpoint_.service, response.status)
    );
  }
  http_.server.host = std::string(address->get_string());
  IOTCORE_ASSIGN(net::HttpServer server, load_server(http_));
  connection_.emplace(std::move(server));
  return {};
}

Result<net::HttpResponse> AwsConnection::call(net::HttpRequest request) {
  IOTCORE_TRY(ensure_open());
  if (request.method.empty()) {
    request.method = "POST";
  }
  request.target = http_.path + (request.target.empty() ? "/" : request.target);
  request.headers.add("Host", net::host_header(connection_->server()));
  if (!options_.signing.credentials.access_key_id.empty()) {
    net::sign(
        request,
        options_.signing.credentials,
        {options_.signing.region, std::string(endpoint_.service)},
        clock_.wall()
    );
  }
  return connection_->call(std::move(request), http_.timeout);
}

net::HttpRequest aws_json_request(
    std::string_view operation, std::string_view version, const json::value& body
) {
  net::HttpRequest request;
  request.headers.add("Content-Type", fmt::format("application/x-amz-json-{}", version));
  request.headers.add("X-Amz-Target", std::string(operation));
  request.body = to_json(body);
  return request;
}

bool is_aws_throttled(std::string_view text) {
  static constexpr auto kCodes = std::to_array<std::string_view>(
      {"Throttl",
       "ThroughputExceeded",
       "RequestLimitExceeded",
       "TooManyRequests",
       "ServiceUnavailable",
       "InternalFailure",
       "InternalError",
       "InternalServerError"}
  );
  return std::ranges::any_of(kCodes, [text](std::string_view code) {
    return text.find(code) != std::string_view::npos;
  });
}

Outcome aws_outcome_of(const Result<net::HttpResponse>& response, std::string_view who) {
  if (!response) {
    return outcome_of(response.error(), who);
  }
  Outcome outcome = outcome_of(*response, who);
  const std::string* type = response->headers.find("x-amzn-errortype");
  const bool again =
      outcome.kind == Outcome::Kind::kPermanent &&
      (is_aws_throttled(response->body) || (type != nullptr && is_aws_throttled(*type)));
  return again ? Outcome::retry(std::move(outcome.reason)) : outcome;
}

}  // namespace iotcore::rules::actions
