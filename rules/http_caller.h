#pragma once

#include "base/result.h"
#include "net/address_range.h"
#include "net/http_client.h"
#include "net/http_message.h"
#include "rules/sink.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules {

// What rules may call.
struct HttpRules {
  // Addresses that may be called although they are private, and without TLS: http.allow.
  std::vector<net::AddressRange> allowed;
  std::chrono::milliseconds timeout{5'000};
};

struct HttpUrl {
  bool tls = true;
  std::string host;
  std::uint16_t port = 443;
  std::string target;  // path and query
};

// kInvalidRequest says what is wrong with it.
Result<HttpUrl> parse_http_url(std::string_view url);

// Whether an address is one that rules may call: a public one over TLS, or one that is allowed. kForbidden.
Status check_address(const HttpRules& rules, bool tls, std::string_view ip);

// Calls of rules to URLs that come from rules and messages: the name is looked up once, what it stands for is checked, and that is what is connected to.
// Connections are kept. One thread at a time; blocks.
class HttpCaller {
 public:
  explicit HttpCaller(HttpRules rules) : rules_(std::move(rules)) {}

  HttpCaller(const HttpCaller&) = delete;  // its connections ask it which addresses they may go to
  HttpCaller& operator=(const HttpCaller&) = delete;

  // kForbidden: not to be called. Redirects are not followed. `timeout`: instead of the rules'.
  Result<net::HttpResponse> call(
      std::string_view url,
      net::HttpRequest request,
      std::optional<std::chrono::milliseconds> timeout = {}
  );

 private:
  const HttpRules rules_;
  std::map<std::string, net::HttpConnection> connections_;  // by host, port and whether TLS
};

// What an answer means for the record that was sent: 2xx is success; 408, 429 and 5xx are worth another try, which Retry-After may put off, unless the answer
// is larger than 16 KiB.
Outcome outcome_of(const Result<net::HttpResponse>& response);

}  // namespace iotcore::rules
