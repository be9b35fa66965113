#include "server/page_origin.h"

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

}  // namespace

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
  const std::string_view authority = std::string_view(*origin).substr(scheme + 3);
  const std::size_t port = authority.starts_with('[') ? authority.find(']') : 0;
  const std::size_t colon = authority.find(':', std::min(port, authority.size()));
  return !is_this_machine(authority.substr(0, colon));
}

}  // namespace iotcore::server
