#include "net/http_caller.h"

#include "base/check.h"
#include "net/free_with.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <memory>
#include <netdb.h>
#include <sys/socket.h>

namespace iotcore::net {
namespace {

constexpr std::size_t kConnectionsMax = 32;
constexpr std::size_t kUrlBytesMax = 2000;

// Not for everybody on the internet: private, shared, loopback, link-local, documentation and multicast addresses, those that lead to such, and the one
// by which a cloud's own machines ask for what only they should know though it looks like a public one (168.63.129.16).
constexpr std::string_view kPrivate =
    "0.0.0.0/8,10.0.0.0/8,100.64.0.0/10,127.0.0.0/8,168.63.129.16,169.254.0.0/16,172.16.0.0/12,"
    "192.0.0.0/24,192.0.2.0/24,192.88.99.0/24,192.168.0.0/16,198.18.0.0/15,198.51.100.0/24,"
    "203.0.113.0/24,224.0.0.0/4,240.0.0.0/4,"
    "::/96,::ffff:0:0/96,64:ff9b::/96,64:ff9b:1::/48,100::/64,2001::/23,2001:db8::/32,2002::/16,"
    "3fff::/20,5f00::/16,fc00::/7,fe80::/10,fec0::/10,ff00::/8";

bool is_private(std::string_view ip) {
  static const std::vector<AddressRange> kRanges = [] {
    Result<std::vector<AddressRange>> ranges = parse_address_ranges(kPrivate);
    IOTCORE_CHECK(ranges.has_value());
    return *std::move(ranges);
  }();
  return ip.empty() || contains(kRanges, ip);
}

tl::unexpected<Error> bad_url(std::string_view url, std::string_view why) {
  return fail(Errc::kInvalidRequest, fmt::format("the URL '{}' {}", url.substr(0, 200), why));
}

}  // namespace

Result<HttpUrl> parse_http_url(std::string_view url) {
  HttpUrl parsed;
  std::string_view rest = url;
  parsed.tls = rest.starts_with("https://");
  if (url.size() > kUrlBytesMax || !(parsed.tls || rest.starts_with("http://"))) {
    return bad_url(url, "does not begin with https://, or is longer than 2000 bytes");
  }
  rest.remove_prefix(parsed.tls ? 8 : 7);
  for (const char c : url) {
    if (static_cast<unsigned char>(c) <= ' ' || c == '\x7F' || c == '\\') {
      return bad_url(url, "has characters that have to be escaped");
    }
  }
  const std::size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  std::string_view authority = rest.substr(0, end);
  const std::string_view path = rest.substr(end, rest.find('#') - end);
  parsed.target = path.starts_with('/') ? std::string(path) : "/" + std::string(path);
  parsed.port = parsed.tls ? 443 : 80;
  const std::size_t colon = authority.rfind(':');
  if (colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos) {
    const std::string_view digits = authority.substr(colon + 1);
    const auto [at, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), parsed.port);
    if (error != std::errc() || at != digits.data() + digits.size() || parsed.port == 0) {
      return bad_url(url, "has no valid port");
    }
    authority = authority.substr(0, colon);
  }
  if (authority.starts_with('[') && authority.ends_with(']')) {
    authority = authority.substr(1, authority.size() - 2);
  }
  if (authority.empty() || authority.find('@') != std::string_view::npos) {
    return bad_url(url, "has no host, or a user in it");
  }
  parsed.host = authority;
  return parsed;
}

Status check_address(const HttpRules& rules, bool tls, std::string_view ip) {
  if (contains(rules.allowed, ip)) {
    return {};
  }
  if (is_private(ip)) {
    return fail(
        Errc::kForbidden, fmt::format("{} is a private address; http.allow can allow it", ip)
    );
  }
  return tls ? Status() : fail(Errc::kForbidden, fmt::format("{} may only be called by https", ip));
}

Status check_url(const HttpRules& rules, std::string_view url) {
  IOTCORE_ASSIGN(const HttpUrl parsed, parse_http_url(url));
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST;
  addrinfo* raw = nullptr;
  if (::getaddrinfo(parsed.host.c_str(), nullptr, &hints, &raw) != 0) {
    // A name; what it stands for is looked at when it is called. Without TLS nothing is called that http.allow does not have.
    return parsed.tls || !rules.allowed.empty()
               ? Status()
               : fail(Errc::kForbidden, fmt::format("{} may only be called by https", parsed.host));
  }
  const std::unique_ptr<addrinfo, FreeWith<::freeaddrinfo>> found(raw);
  sockaddr_storage address = {};
  std::memcpy(&address, found->ai_addr, std::min<std::size_t>(found->ai_addrlen, sizeof address));
  return check_address(rules, parsed.tls, peer_address(address).ip);
}

Result<HttpResponse> HttpCaller::call(
    std::string_view url, HttpRequest request, std::optional<std::chrono::milliseconds> timeout
) {
  IOTCORE_ASSIGN(HttpUrl parsed, parse_http_url(url));
  const std::string key = fmt::format("{} {} {}", parsed.tls, parsed.port, parsed.host);
  auto found = connections_.find(key);
  if (found == connections_.end()) {
    if (connections_.size() >= kConnectionsMax) {
      connections_.clear();
    }
    HttpServer server;
    server.host = parsed.host;
    server.port = parsed.port;
    server.tls = parsed.tls;
    server.ca_pem = rules_.ca_pem;
    server.admits = [this, tls = parsed.tls](std::string_view ip) {
      return check_address(rules_, tls, ip);
    };
    found = connections_.emplace(key, HttpConnection(std::move(server))).first;
  }
  request.target = std::move(parsed.target);
  return found->second.call(
      std::move(request), timeout.value_or(rules_.timeout), rules_.reply_bytes_max
  );
}

}  // namespace iotcore::net
