#include "server/page_origin.h"

#include <catch2/catch.hpp>

namespace iotcore::server {
namespace {

TEST_CASE("a development face knows the pages of other places") {
  const auto foreign = [](const char* name, const char* value) {
    net::HttpHeaders headers;
    headers.set(name, value);
    return is_of_foreign_page(headers);
  };
  CHECK_FALSE(is_of_foreign_page({}));
  for (const char* own :
       {"http://localhost",
        "http://localhost:3000",
        "https://LOCALHOST:3000",
        "http://app.localhost:3000",
        "http://127.0.0.1:8080",
        "http://[::1]:8080",
        "http://[::1]"}) {
    INFO(own);
    CHECK_FALSE(foreign("Origin", own));
  }
  for (const char* other :
       {"null",
        "",
        "http://evil.example",
        "http://evil.example:8080",
        "http://localhost.evil.example",
        "http://evillocalhost",
        "http://127.evil.example",
        "http://[::1].evil.example",
        "http://[2001:db8::1]",
        "file://"}) {
    INFO(other);
    CHECK(foreign("Origin", other));
  }
  CHECK(foreign("Sec-Fetch-Site", "cross-site"));
  CHECK_FALSE(foreign("Sec-Fetch-Site", "same-origin"));
  CHECK_FALSE(foreign("Sec-Fetch-Site", "none"));
}

}  // namespace
}  // namespace iotcore::server
