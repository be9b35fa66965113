#include "server/page_origin.h"

#include "registry/domain_table.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace iotcore::server {
namespace {

constexpr std::array<std::string_view, 5> kPrivateDomains = {
    ".localhost", ".internal", ".local", ".test", ".amazonaws.com"};

bool is_this_machine(std::string_view host) {
  constexpr std::string_view kNumbers = "0123456789.";
  return net::equal_ignoring_case(host, "localhost") || host.ends_with(".localhost") ||
         host == "[::1]" ||
         (host.starts_with("127.") && host.find_first_not_of(kNumbers) == std::string_view::npos);
}

// "[::1]:8080" without its port.
std::string_view without_port(std::string_view authority) {
  const std::size_t port = authority.starts_with('[') ? authority.find(']') : 0;
  return authority.substr(0, authority.find(':', std::min(port, authority.size())));
}

}  // namespace

std::string asked_host(const net::HttpHeaders& headers) {
  const std::string* host = headers.find("host");
  return host == nullptr ? std::string() : registry::lower_host(without_port(*host));
}

bool is_foreign_name(std::string_view host) {
  // A browser takes an address for a page's home only if the page came from there.
  const bool is_address =
      host.starts_with('[') || host.find_first_not_of("0123456789.") == std::string_view::npos;
  // Without a dot, or under these, nobody can have a name from a registrar; AWS's own lead here by a hosts file only.
  const bool is_private =
      host.find('.') == std::string_view::npos ||
      std::ranges::any_of(kPrivateDomains, [&](std::string_view domain) {
        return host.ends_with(domain);
      });
  return !is_address && !is_private;
}

bool is_of_foreign_page(const net::HttpHeaders& headers) {
  const std::string* origin = headers.find("origin");
  if (origin == nullptr) {
    const std::string* site = headers.find("sec-fetch-site");
    return site != nullptr && *site == "cross-site";
  }
  // "null" is what pages without an address have, which may be anybody's.
  const std::size_t scheme = origin->find("://");
  if (scheme == std::string::npos) {
    return true;
  }
  return !is_this_machine(without_port(std::string_view(*origin).substr(scheme + 3)));
}

}  // namespace iotcore::server
