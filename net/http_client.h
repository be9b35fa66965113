#pragma once

#include "base/result.h"
#include "net/http_message.h"

#include <chrono>
#include <cstdint>
#include <string>

namespace iotcore::net {

struct HttpServer {
  std::string host;  // name or address
  std::uint16_t port = 0;
  bool tls = false;
  std::string ca_pem;  // with tls: who must have signed the server's certificate
};

// One request, one answer, one connection; blocks for at most `timeout`. kUnavailable when the server can't be reached or breaks off, kTimeout,
// kCertificateValidation when it is not who it should be. Adds Host and Content-Length.
Result<HttpResponse> http_call(
    const HttpServer& server,
    HttpRequest request,
    std::chrono::milliseconds timeout = std::chrono::seconds(30)
);

// The value of the Host header that http_call sends: for signing.
std::string host_header(const HttpServer& server);

}  // namespace iotcore::net
