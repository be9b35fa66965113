#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "net/http_message.h"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace iotcore::net {

struct HttpLimits {
  std::size_t header_bytes_max = 16 * 1024;
  std::size_t body_bytes_max = 1024 * 1024;
};

// Reads one HTTP/1.0 or 1.1 request. Pure: bytes in, a request out.
class HttpRequestParser {
 public:
  explicit HttpRequestParser(const HttpLimits& limits);
  ~HttpRequestParser();
  HttpRequestParser(HttpRequestParser&&) noexcept;
  HttpRequestParser& operator=(HttpRequestParser&&) noexcept;

  // Takes from the front of `bytes` and returns how many it took. If that is not all of them and done() is false, they are to be offered
  // again with more behind (a head is taken whole). Errors: kInvalidRequest; kTooLarge (the head or the body).
  Result<std::size_t> put(std::string_view bytes);

  bool head_done() const;
  bool done() const;
  // Of a done head: the client waits for a 100 before it sends the body.
  bool expects_continue() const;
  bool keep_alive() const;
  // Of a done request, once.
  HttpRequest take();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A response on the wire. Date, Content-Length and Connection are written here and are not to be among its fields; a field with a line break in it is
// left out, since it could only be an attempt to inject one. `head_only` for the answer to HEAD.
std::string write_response(
    const HttpResponse& response, bool keep_alive, bool head_only, WallTime now
);

// Tue, 15 Nov 1994 08:12:31 GMT (RFC 9110 5.6.7).
std::string http_date(WallTime time);

}  // namespace iotcore::net
