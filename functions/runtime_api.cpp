#include "functions/runtime_api.h"

#include "base/crypto.h"
#include "base/json.h"

#include <fmt/format.h>

namespace iotcore::functions {
namespace {

constexpr std::string_view kRuntime = "/2018-06-01/runtime/";
constexpr std::string_view kInvocation = "invocation/";

net::HttpResponse json_response(std::uint16_t status, std::string body) {
  net::HttpResponse response;
  response.status = status;
  response.headers.set("Content-Type", "application/json");
  response.body = std::move(body);
  return response;
}

net::HttpResponse error_response(
    std::uint16_t status, std::string_view type, std::string_view message
) {
  return json_response(status, error_document(type, message));
}

}  // namespace

RuntimeRequest read_runtime_request(const net::HttpRequest& request) {
  std::string_view path = net::split_target(request.target).path;
  if (!path.starts_with(kRuntime)) {
    return {};
  }
  path.remove_prefix(kRuntime.size());
  if (request.method == "GET" && path == "invocation/next") {
    return {RuntimeCall::kNext, ""};
  }
  if (request.method != "POST") {
    return {};
  }
  if (path == "init/error") {
    return {RuntimeCall::kInitError, ""};
  }
  if (!path.starts_with(kInvocation)) {
    return {};
  }
  path.remove_prefix(kInvocation.size());
  const std::size_t slash = path.find('/');
  const std::string_view what =
      slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
  const std::string id(path.substr(0, slash));
  if (what == "response") {
    return {RuntimeCall::kResponse, id};
  }
  if (what == "error") {
    return {RuntimeCall::kError, id};
  }
  return {};
}

net::HttpResponse event_response(Event event) {
  net::HttpResponse response = json_response(200, std::move(event.payload));
  net::HttpHeaders& headers = response.headers;
  headers.set("Lambda-Runtime-Aws-Request-Id", std::move(event.request_id));
  headers.set("Lambda-Runtime-Deadline-Ms", std::to_string(event.deadline_ms));
  headers.set("Lambda-Runtime-Invoked-Function-Arn", std::move(event.function_arn));
  headers.set("Lambda-Runtime-Trace-Id", std::move(event.trace_id));
  if (!event.client_context.empty()) {
    headers.set("Lambda-Runtime-Client-Context", std::move(event.client_context));
  }
  return response;
}

net::HttpResponse accepted_response() {
  return json_response(202, R"({"status":"OK"})");
}

net::HttpResponse too_large_response(std::size_t bytes) {
  return error_response(
      413,
      "RequestEntityTooLarge",
      fmt::format("Exceeded maximum allowed payload size: {} bytes are too many", bytes)
  );
}

net::HttpResponse unknown_id_response() {
  return error_response(400, "InvalidRequestID", "Invalid request ID");
}

net::HttpResponse bad_state_response(std::string_view call) {
  return error_response(
      403, "InvalidStateTransition", fmt::format("{} is not allowed in this state", call)
  );
}

net::HttpResponse not_found_response() {
  return error_response(404, "NotFound", "The Runtime API has no such path");
}

std::string error_document(std::string_view type, std::string_view message) {
  std::string text = R"({"errorType":)";
  append_json_string(text, type);
  text += R"(,"errorMessage":)";
  append_json_string(text, message);
  text += '}';
  return text;
}

std::string make_trace_id(std::int64_t epoch_s, std::string_view random) {
  return fmt::format(
      "Root=1-{:08x}-{};Parent={};Sampled=0",
      static_cast<std::uint32_t>(epoch_s),
      to_hex(random.substr(0, 12)),
      to_hex(random.substr(12, 8))
  );
}

}  // namespace iotcore::functions
