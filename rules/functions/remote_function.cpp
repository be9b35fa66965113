#include "rules/functions/remote_function.h"

#include "base/clock.h"
#include "functions/definition.h"
#include "rules/actions/aws_connection.h"
#include "rules/functions/local_functions.h"
#include "rules/member_reader.h"

#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <fmt/format.h>

#include <utility>

namespace iotcore::rules {
namespace {

void read_url(MemberReader& options, RemoteFunctionOptions& read) {
  const std::string text = options.text("url");
  if (text.empty()) {
    return;
  }
  const auto url = boost::urls::parse_uri(text);
  const bool is_known = url && (url->scheme() == "http" || url->scheme() == "https");
  if (!is_known || url->host().empty()) {
    options.fail_member("url", "must begin with http:// or https:// and name a host");
    return;
  }
  read.server.host = url->host_type() == boost::urls::host_type::ipv6
                         ? url->host_ipv6_address().to_string()
                         : url->host();
  read.server.tls = url->scheme() == "https";
  read.server.port = url->has_port() ? url->port_number() : read.server.tls ? 443 : 80;
  read.path = url->encoded_path();
  if (read.path == "/") {
    read.path.clear();
  }
  if (url->has_query()) {
    read.path += "?" + std::string(url->encoded_query());
  }
}

std::string text_of(const json::object& members, std::string_view name) {
  const json::value* found = find_member(members, name);
  return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string();
}

bool is_success(const net::HttpResponse& response) {
  constexpr int kSuccess = 2;
  return response.status / 100 == kSuccess;
}

// Why it was not called, and whether it is worth another attempt.
Error refusal(std::string_view name, const net::HttpResponse& response) {
  constexpr std::uint16_t kTooMany = 429;
  constexpr std::uint16_t kServerErrors = 500;
  const bool later = response.status == kTooMany || response.status >= kServerErrors ||
                     actions::is_aws_throttled(response.body);
  return Error(
      later ? Errc::kUnavailable : Errc::kForbidden,
      fmt::format("function {}: status {}", name, response.status)
  );
}

Result<RemoteFunctionOptions> aws_options(
    const Target& target, const Targets& targets, std::string_view service
) {
  IOTCORE_ASSIGN(actions::AwsOptions aws, actions::open_target(target, targets, actions::read_aws));
  const actions::HttpOptions http =
      aws.http ? *aws.http : actions::aws_http(service, aws.signing.region);
  RemoteFunctionOptions options;
  IOTCORE_ASSIGN(options.server, actions::load_server(http));
  options.region = aws.signing.region;
  options.account = aws.account;
  options.credentials = aws.signing.credentials;
  options.timeout = http.timeout;
  return options;
}

}  // namespace

RemoteFunctionOptions read_remote_function(MemberReader& options) {
  RemoteFunctionOptions read;
  read_url(options, read);
  read.account = options.optional_text("account").value_or("000000000000");
  read.region = options.optional_text("region").value_or("us-east-1");
  if (options.has("accessKey") != options.has("secretKey")) {
    options.fail_at(options.pointer(), "needs both of accessKey and secretKey, or none");
  }
  options.optional_text_or_secret("accessKey");
  options.optional_text_or_secret("secretKey");
  constexpr std::int64_t kTimeoutMax = 900;
  if (const auto seconds = options.optional_integer("timeout", 1, kTimeoutMax)) {
    read.timeout = std::chrono::seconds(*seconds);
  }
  return read;
}

Result<RemoteFunction> RemoteFunction::open(
    const Target& target, const Targets& targets, std::string_view service
) {
  if (target.kind == "aws") {
    IOTCORE_ASSIGN(RemoteFunctionOptions options, aws_options(target, targets, service));
    return RemoteFunction(std::move(options));
  }
  IOTCORE_ASSIGN(const json::object members, targets.open_secrets(target));
  MemberReader options(members, "", nullptr);
  options.ignore("match");
  RemoteFunctionOptions read = read_remote_function(options);
  if (const std::optional<DefinitionError> error = options.finish()) {
    return fail(to_error(*error));
  }
  read.credentials.access_key_id = text_of(members, "accessKey");
  read.credentials.secret = text_of(members, "secretKey");
  return RemoteFunction(std::move(read));
}

Result<net::HttpResponse> RemoteFunction::send(
    net::HttpRequest request, std::string_view service, std::chrono::milliseconds patience
) {
  request.method = "POST";
  request.headers.set("Host", net::host_header(options_.server));
  if (!options_.credentials.access_key_id.empty()) {
    net::sign(
        request, options_.credentials, {options_.region, std::string(service)}, SystemClock().wall()
    );
  }
  const std::chrono::milliseconds timeout =
      patience.count() > 0 ? std::min(patience, options_.timeout) : options_.timeout;
  return connection_.call(std::move(request), timeout, 2 * functions::kPayloadBytesMax);
}

Result<functions::Answer> RemoteFunction::call(
    std::string_view name, const functions::Invocation& invocation, bool is_event
) {
  net::HttpRequest request;
  request.target = options_.path;
  request.headers.set("Content-Type", "application/json");
  if (options_.path.empty()) {
    request.target = fmt::format("/2015-03-31/functions/{}/invocations", net::percent_encode(name));
    request.headers.set("X-Amz-Invocation-Type", is_event ? "Event" : "RequestResponse");
  }
  request.body = invocation.payload;
  IOTCORE_ASSIGN(
      net::HttpResponse response, send(std::move(request), kLambdaService, invocation.patience)
  );
  if (!is_success(response)) {
    return fail(refusal(name, response));
  }
  const bool is_error = response.headers.find("x-amz-function-error") != nullptr;
  return functions::Answer{std::move(response.body), is_error};
}

Result<functions::Answer> RemoteFunction::start_execution(
    std::string_view machine, std::string_view execution, const functions::Invocation& invocation
) {
  IOTCORE_ASSIGN(const json::value event, parse_json(invocation.payload));
  json::object body;
  body["stateMachineArn"] = fmt::format(
      "arn:aws:states:{}:{}:stateMachine:{}", options_.region, options_.account, machine
  );
  body["name"] = execution;
  body["input"] = to_json(event.at("input"));
  net::HttpRequest request;
  request.target = options_.path.empty() ? "/" : options_.path;
  request.headers.set("Content-Type", "application/x-amz-json-1.0");
  request.headers.set("X-Amz-Target", "AWSStepFunctions.StartExecution");
  request.body = to_json(body);
  IOTCORE_ASSIGN(net::HttpResponse response, send(std::move(request), kStatesService, {}));
  // An earlier attempt whose answer was lost has started it.
  const bool is_there = response.body.find("ExecutionAlreadyExists") != std::string::npos;
  if (!is_success(response) && !is_there) {
    return fail(refusal(machine, response));
  }
  return functions::Answer{std::move(response.body), false};
}

Result<functions::Answer> call_function(
    const SinkEnvironment& environment, const std::string& name, functions::Invocation invocation
) {
  if (environment.functions == nullptr) {
    return fail(Errc::kUnavailable, "there are no functions here");
  }
  if (environment.functions->has(name) || environment.targets == nullptr) {
    return environment.functions->call(name, std::move(invocation));
  }
  const TargetRef bound = environment.targets->bind(LambdaTarget::kName, name);
  if (bound == nullptr || (bound->kind != LambdaTarget::kName && bound->kind != "aws")) {
    return environment.functions->call(
        name, std::move(invocation)
    );  // which says that there is none
  }
  IOTCORE_ASSIGN(
      RemoteFunction remote, RemoteFunction::open(*bound, *environment.targets, kLambdaService)
  );
  return remote.call(name, invocation, false);
}

}  // namespace iotcore::rules
