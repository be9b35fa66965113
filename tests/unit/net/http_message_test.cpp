#include "net/http_message.h"

#include <catch2/catch.hpp>

namespace iotcore::net {
namespace {

TEST_CASE("headers are found in any case, first value first") {
  HttpHeaders headers{{"X-Amzn-Principal", "a"}, {"x-amzn-principal", "b"}};
  REQUIRE(headers.find("x-AMZN-principal") != nullptr);
  CHECK(*headers.find("x-AMZN-principal") == "a");
  CHECK(headers.find("x-amzn-principals") == nullptr);
  headers.set("X-AMZN-PRINCIPAL", "c");
  CHECK(headers.size() == 1);
  CHECK(*headers.find("x-amzn-principal") == "c");
}

TEST_CASE("a target splits at its first question mark") {
  CHECK(split_target("/a%2Fb?q=1?2").path == "/a%2Fb");
  CHECK(split_target("/a%2Fb?q=1?2").query == "q=1?2");
  CHECK(split_target("/a").query.empty());
}

TEST_CASE("percent coding") {
  CHECK(percent_encode("a/b c$~") == "a%2Fb%20c%24~");
  CHECK(percent_decode("a%2fb%20c+") == "a/b c+");
  CHECK(!percent_decode("%2"));
  CHECK(!percent_decode("%zz"));
}

TEST_CASE("query parameters") {
  const auto parameters = parse_query("a=1&b=x+y%3D&&c&d=%26=");
  REQUIRE(parameters);
  REQUIRE(parameters->size() == 4);
  CHECK((*parameters)[1].value == "x y=");
  CHECK((*parameters)[2].name == "c");
  CHECK((*parameters)[2].value.empty());
  CHECK((*parameters)[3].value == "&=");
  CHECK(!parse_query("a=%"));
  CHECK(parse_query("")->empty());
}

}  // namespace
}  // namespace iotcore::net
