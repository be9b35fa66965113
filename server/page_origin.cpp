#include "server/page_origin.h"

#include "registry/domain_table.h"

#include <algorithm>
#include <string_view>

namespace iotcore::server {
namespace {

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
  // AWS's own names lead here by a hosts file only: nobody else has a say in them.
  return !host.empty() && !is_this_machine(host) && !host.ends_with(".amazonaws.com");
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
