#pragma once

#include "base/result.h"
#include "net/client_channel.h"
#include "net/http_message.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace iotcore::net {

struct HttpServer {
  std::string host;  // name or address
  std::uint16_t port = 0;
  bool tls = false;
  std::string
      ca_pem;  // with tls: who must have signed the server's certificate; empty: the system's CAs
  std::string certificate_pem;  // with tls, of our own; empty: none
  std::string private_key_pem;
  bool verify = true;
  AddressRule admits = {};  // of the addresses of the host; null: all
};

// Of an answer's body.
inline constexpr std::size_t kHttpReplyBytesMax = 64U << 20;

// One request, one answer, one connection; blocks for at most `timeout`. kUnavailable when the server can't be reached or breaks off, kTimeout,
// kCertificateValidation when it is not who it should be. Adds Host and Content-Length.
Result<HttpResponse> http_call(
    const HttpServer& server,
    HttpRequest request,
    std::chrono::milliseconds timeout = std::chrono::seconds(30)
);

// One request after the other over one connection, which is opened when it is needed and kept as long as the server keeps it. A request over a kept
// connection that breaks off before it is answered is sent once more over a new one. Blocks; one thread at a time. Errors as of http_call.
class HttpConnection {
 public:
  explicit HttpConnection(HttpServer server) : server_(std::move(server)) {}

  Result<HttpResponse> call(
      HttpRequest request,
      std::chrono::milliseconds timeout,
      std::size_t reply_bytes_max = kHttpReplyBytesMax
  );

  const HttpServer& server() const { return server_; }

 private:
  Result<HttpResponse> exchange(
      const HttpRequest& request,
      std::chrono::milliseconds timeout,
      std::size_t reply_bytes_max,
      bool& answered
  );

  HttpServer server_;
  std::optional<ClientChannel> channel_;
};

// The value of the Host header that http_call sends: for signing.
std::string host_header(const HttpServer& server);

}  // namespace iotcore::net
