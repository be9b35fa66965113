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

TEST_CASE("a development face knows the names that others may have led to it") {
  const auto host_of = [](const char* value) {
    net::HttpHeaders headers;
    headers.set("Host", value);
    return asked_host(headers);
  };
  CHECK(asked_host({}).empty());
  CHECK_FALSE(is_foreign_name(""));
  for (const char* own :
       {"localhost",
        "LOCALHOST:8080",
        "app.localhost:8080",
        "127.0.0.1:8080",
        "[::1]:8080",
        "iotcore:8080",
        "host.docker.internal:8080",
        "10.0.0.1:8080",
        "[2001:db8::1]:8080",
        "iot.us-east-1.amazonaws.com",
        "a1b2c3-ats.iot.eu-west-1.amazonaws.com:8443"}) {
    INFO(own);
    CHECK_FALSE(is_foreign_name(host_of(own)));
  }
  for (const char* other :
       {"evil.example",
        "evil.example:8080",
        "localhost.evil.example:8080",
        "127.0.0.1.evil.example",
        "evilamazonaws.com",
        "evil.internal.example",
        "iot.us-east-1.amazonaws.com.evil.example"}) {
    INFO(other);
    CHECK(is_foreign_name(host_of(other)));
  }
}

}  // namespace
}  // namespace iotcore::server
