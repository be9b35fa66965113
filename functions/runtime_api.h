#pragma once

#include "net/http_message.h"

#include <cstdint>
#include <string>
#include <string_view>

// The words of the AWS Lambda Runtime API, version 2018-06-01: what processes ask, what they are answered. Pure.
namespace iotcore::functions {

enum class RuntimeCall : std::uint8_t { kNext, kResponse, kError, kInitError, kUnknown };

struct RuntimeRequest {
  RuntimeCall call = RuntimeCall::kUnknown;
  std::string request_id;  // kResponse, kError
};

RuntimeRequest read_runtime_request(const net::HttpRequest& request);

// What a process is told of an invocation.
struct Event {
  std::string request_id;
  std::string function_arn;    // as it was named by the one who invokes
  std::string client_context;  // JSON; empty: none
  std::string payload;
  std::int64_t deadline_ms = 0;  // of the epoch
  std::string trace_id;
};

net::HttpResponse event_response(Event event);
net::HttpResponse accepted_response();
// `bytes`: what was sent.
net::HttpResponse too_large_response(std::size_t bytes);
net::HttpResponse unknown_id_response();
// It asks for what it cannot do now, as /next in the middle of an invocation.
net::HttpResponse bad_state_response(std::string_view call);
net::HttpResponse not_found_response();

// {"errorType": …, "errorMessage": …}: what the one who invokes gets when a function fails.
std::string error_document(std::string_view type, std::string_view message);

// Root=1-…;Parent=…;Sampled=0 made of random bytes, of which there are to be 20.
std::string make_trace_id(std::int64_t epoch_s, std::string_view random);

}  // namespace iotcore::functions
