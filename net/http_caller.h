#pragma once

#include "base/result.h"
#include "net/address_range.h"
#include "net/http_client.h"
#include "net/http_message.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Calls to URLs that the server has been given by others: over the API, in rules, in messages. What may be called is what everybody on the internet can
// reach; else who may give a URL would reach what only the server can.
namespace iotcore::net {

// What may be called.
struct HttpRules {
  // Addresses that may be called although they are private, and without TLS: http.allow.
  std::vector<AddressRange> allowed;
  std::chrono::milliseconds timeout{5'000};
  std::string ca_pem;  // who must have signed the certificates of https; empty: the system's CAs
  std::size_t reply_bytes_max = 1U << 20;
};

struct HttpUrl {
  bool tls = true;
  std::string host;
  std::uint16_t port = 443;
  std::string target;  // path and query
};

// kInvalidRequest says what is wrong with it.
Result<HttpUrl> parse_http_url(std::string_view url);

// Whether an address is one that may be called: a public one over TLS, or one that is allowed. kForbidden.
Status check_address(const HttpRules& rules, bool tls, std::string_view ip);

// What can be told of a URL before it is called, without asking for its name: whether it is one, and whether its host, if it is an address in any of the
// forms that the system takes, may be called. kInvalidRequest, kForbidden.
Status check_url(const HttpRules& rules, std::string_view url);

// The name is looked up once, what it stands for is checked, and that is what is connected to. Connections are kept. One thread at a time; blocks.
class HttpCaller {
 public:
  explicit HttpCaller(HttpRules rules) : rules_(std::move(rules)) {}

  HttpCaller(const HttpCaller&) = delete;  // its connections ask it which addresses they may go to
  HttpCaller& operator=(const HttpCaller&) = delete;

  // kForbidden: not to be called. Redirects are not followed. `timeout`: instead of the rules'.
  Result<HttpResponse> call(
      std::string_view url,
      HttpRequest request,
      std::optional<std::chrono::milliseconds> timeout = {}
  );

 private:
  const HttpRules rules_;
  std::map<std::string, HttpConnection> connections_;  // by host, port and whether TLS
};

}  // namespace iotcore::net
