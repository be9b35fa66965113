#include "net/http_caller.h"

#include <catch2/catch.hpp>

#include <string>

namespace iotcore::net {
namespace {

TEST_CASE("URLs that may be called are taken apart, and others refused") {
  const HttpUrl url = parse_http_url("https://a.example:8443/p/q?x=1#f").value();
  CHECK((url.tls && url.host == "a.example" && url.port == 8443 && url.target == "/p/q?x=1"));
  CHECK(parse_http_url("http://[::1]").value().host == "::1");
  CHECK(parse_http_url("http://[::1]:81/").value().port == 81);
  CHECK(parse_http_url("https://a?x").value().target == "/?x");
  for (const char* bad :
       {"",
        "a",
        "ftp://a",
        "https://",
        "https:///p",
        "https://u@a/",
        "https://a:0/",
        "https://a:x/",
        "https://a:70000/",
        "https://a/b c",
        "https://a/\r\nX: y",
        "https://a\\b"}) {
    CHECK_FALSE(parse_http_url(bad));
  }
  CHECK_FALSE(parse_http_url("https://a/" + std::string(2000, 'x')));
}

TEST_CASE("addresses that are not for everybody are not called unless they are allowed") {
  HttpRules rules;
  for (const char* ip :
       {"127.0.0.1",
        "10.1.2.3",
        "172.31.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "168.63.129.16",
        "192.88.99.1",
        "fe80::1",
        "fec0::1",
        "fd00:ec2::254",
        "2001:db8::1",
        "::7f00:1",
        "",
        "fd00::1",
        "::ffff:127.0.0.1",
        "::ffff:a00:1",
        "64:ff9b:1::a00:1",
        "2001::1",
        "ff02::1"}) {
    INFO(ip);
    CHECK_FALSE(check_address(rules, true, ip));
  }
  CHECK(check_address(rules, true, "1.1.1.1"));
  CHECK(check_address(rules, true, "2606:4700::1111"));
  CHECK_FALSE(check_address(rules, false, "1.1.1.1"));
  rules.allowed = parse_address_ranges("10.0.0.0/8,1.1.1.1").value();
  CHECK(check_address(rules, false, "10.1.2.3"));
  CHECK(check_address(rules, false, "1.1.1.1"));
  CHECK_FALSE(check_address(rules, true, "192.168.1.1"));
}

TEST_CASE("what can be told of a URL before it is called is told then") {
  HttpRules rules;
  const auto code = [&rules](std::string_view url) {
    const Status checked = check_url(rules, url);
    return checked ? std::string("ok") : std::string(errc_info(checked.error().code()).name);
  };
  for (const char* url :
       {"https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f.0.0.1/",
        "https://017700000001/",
        "https://[::1]/",
        "https://[::ffff:169.254.169.254]/",
        "https://[fe80::1%1]/",
        "https://169.254.169.254/latest/meta-data",
        "http://1.1.1.1/",
        "http://a.example/"}) {
    INFO(url);
    CHECK(code(url) == "forbidden");
  }
  CHECK(code("https://a.example/") == "ok");
  CHECK(code("https://1.1.1.1/") == "ok");
  CHECK(code("gopher://a.example/") == "invalid_request");
  CHECK(code("https://a.example/ x") == "invalid_request");
  rules.allowed = parse_address_ranges("127.0.0.0/8").value();
  CHECK(code("http://127.0.0.1:80/") == "ok");
  CHECK(code("http://a.example/") == "ok");  // it may be there
  CHECK(code("https://10.0.0.1/") == "forbidden");
}

// Nothing listens there; what it answers is that it was not even tried.
TEST_CASE("a name that stands for a private address is not called") {
  HttpCaller caller{HttpRules{}};
  const auto answer = caller.call("https://localhost:1/", HttpRequest());
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code() == Errc::kForbidden);
}

}  // namespace
}  // namespace iotcore::net
