#include "server/lambda_api.h"

#include "base/crypto.h"
#include "base/json.h"
#include "functions/definition.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

namespace iotcore::server {
namespace {

constexpr std::string_view kBefore = "/2015-03-31/functions/";
constexpr std::string_view kBehind = "/invocations";
constexpr std::string_view kInvoke = "lambda:InvokeFunction";

net::HttpResponse answer(std::uint16_t status, std::string body) {
  net::HttpResponse response;
  response.status = status;
  response.headers.set("Content-Type", "application/json");
  response.headers.set("x-amzn-RequestId", new_uuid());
  response.body = std::move(body);
  return response;
}

// In the form of Lambda's, which is not that of IoT.
net::HttpResponse failure(
    std::uint16_t status, const std::string& exception, std::string_view message
) {
  std::string body = R"({"Type":")";
  body += status / 100 == 4 ? "User" : "Service";
  body += R"(","Message":)";
  append_json_string(body, message);
  net::HttpResponse response = answer(status, body + "}");
  response.headers.set("x-amzn-ErrorType", exception);
  return response;
}

net::HttpResponse failure(const Error& error) {
  switch (error.code()) {
    case Errc::kNotFound:
      return failure(404, "ResourceNotFoundException", error.message());
    case Errc::kThrottled:
      return failure(429, "TooManyRequestsException", error.message());
    case Errc::kTooLarge:
      return failure(413, "RequestTooLargeException", error.message());
    default:
      return failure(502, "InvalidRuntimeException", error.message());
  }
}

// What stands for the function in the path, decoded; nothing: it is no path of Invoke.
std::optional<std::string> named_in(const net::HttpRequest& request) {
  std::string_view path = net::split_target(request.target).path;
  if (!path.starts_with(kBefore) || !path.ends_with(kBehind) || request.method != "POST" ||
      path.size() <= kBefore.size() + kBehind.size()) {
    return std::nullopt;
  }
  path.remove_prefix(kBefore.size());
  path.remove_suffix(kBehind.size());
  return net::percent_decode(path);
}

std::string query_value(const net::HttpRequest& request, std::string_view name) {
  const auto parameters = net::parse_query(net::split_target(request.target).query);
  for (const net::QueryParameter& each : parameters.value_or(std::vector<net::QueryParameter>())) {
    if (each.name == name) {
      return each.value;
    }
  }
  return {};
}

std::string header(const net::HttpRequest& request, std::string_view name) {
  const std::string* found = request.headers.find(name);
  return found == nullptr ? std::string() : *found;
}

net::HttpResponse to_response(Result<functions::Answer> result, const std::string& version) {
  if (!result) {
    return failure(result.error());
  }
  net::HttpResponse response = answer(200, std::move(result->payload));
  response.headers.set("X-Amz-Executed-Version", version);
  if (result->is_error) {
    response.headers.set("X-Amz-Function-Error", "Unhandled");
  }
  return response;
}

}  // namespace

bool LambdaApi::concerns(std::string_view path) {
  return path.starts_with(kBefore);
}

std::string LambdaApi::arn(std::string_view name) const {
  return fmt::format("arn:aws:lambda:{}:{}:function:{}", site_.region, site_.account, name);
}

void LambdaApi::handle(
    net::HttpRequest request, gateway::CallerIdentity caller, gateway::HttpReply reply
) {
  if (caller.signer == nullptr && !caller.peer.development) {
    reply(failure(403, "AccessDeniedException", "Devices do not invoke functions."));
    return;
  }
  std::optional<std::string> named = named_in(request);
  if (!named) {
    reply(failure(404, "UnknownOperationException", "Of Lambda's API there is Invoke alone."));
    return;
  }
  pool_.post([this,
              request = std::move(request),
              caller = std::move(caller),
              named = std::move(*named),
              reply = std::move(reply)]() mutable {
    const std::string resource = arn(functions::parse_function_name(named).name);
    if (!access_.is_unrestricted(caller)) {
      const Status allowed = access_.allows(caller, kInvoke, {&resource, 1});
      if (!allowed) {
        reply(failure(403, "AccessDeniedException", allowed.error().message()));
        return;
      }
    }
    invoke(request, named, std::move(reply));
  });
}

void LambdaApi::invoke(
    const net::HttpRequest& request, const std::string& named, gateway::HttpReply reply
) {
  const functions::FunctionName function = functions::parse_function_name(named);
  if (function.name.empty() || !functions_.has(function.name)) {
    reply(failure(404, "ResourceNotFoundException", "Function not found: " + arn(named)));
    return;
  }
  const std::string type = header(request, "x-amz-invocation-type");
  const bool is_event = type == "Event";
  if (!is_event && type != "DryRun" && type != "RequestResponse" && !type.empty()) {
    reply(failure(400, "InvalidParameterValueException", "There is no InvocationType " + type));
    return;
  }
  functions::Invocation invocation;
  invocation.payload = request.body.empty() ? "{}" : request.body;
  if (!parse_json(invocation.payload)) {
    reply(failure(400, "InvalidRequestContentException", "Could not parse request body into json"));
    return;
  }
  if (is_event && invocation.payload.size() > functions::kEventBytesMax) {
    reply(failure(413, "RequestTooLargeException", "An event has at most 256 KiB"));
    return;
  }
  const std::string qualifier =
      function.qualifier.empty() ? query_value(request, "Qualifier") : function.qualifier;
  invocation.function_arn = arn(function.name) + (qualifier.empty() ? "" : ":" + qualifier);
  if (const auto context = from_base64(header(request, "x-amz-client-context"))) {
    invocation.client_context = *context;
  }
  if (type == "DryRun") {
    reply(answer(204, ""));
    return;
  }
  if (is_event) {
    functions_.invoke(function.name, std::move(invocation), [](const Result<functions::Answer>&) {
    });
    reply(answer(202, ""));
    return;
  }
  functions_.invoke(
      function.name,
      std::move(invocation),
      [reply = std::move(reply),
       version = qualifier.empty() ? "$LATEST" : qualifier](Result<functions::Answer> result
      ) mutable { reply(to_response(std::move(result), version)); }
  );
}

}  // namespace iotcore::server
