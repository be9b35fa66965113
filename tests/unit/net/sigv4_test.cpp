#include "net/sigv4.h"

#include "base/json.h"

#include <catch2/catch.hpp>

#include <fstream>
#include <sstream>

namespace iotcore::net {
namespace {

const SigV4Credentials kCredentials = {
    "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", ""};
// 2026-01-15T12:00:00Z
const WallTime kNow = from_epoch_ms(1'768'478'400'000);

HttpRequest publish() {
  return {"POST", "/topics/a%2Fb?qos=1", {{"Host", "gw.test:8443"}}, "hello"};
}

HttpRequest upgrade() {
  return {"GET", "/mqtt", {{"Host", "gw.test"}}, ""};
}

Status verify(
    const HttpRequest& request,
    WallTime now = kNow,
    const SigV4Rules& rules = {.region = "us-east-1"}
) {
  IOTCORE_ASSIGN(const auto claim, parse_sigv4(request));
  if (!claim) {
    return fail(missing_authentication());
  }
  return verify_sigv4(request, *claim, kCredentials.secret, now, rules);
}

std::string signature_in(const HttpRequest& request) {
  const auto claim = parse_sigv4(request);
  REQUIRE(claim);
  REQUIRE(*claim);
  return (*claim)->signature;
}

Errc errc_of(const Status& status) {
  REQUIRE(!status);
  return status.error().code();
}

TEST_CASE("header signatures equal the published vectors") {
  HttpRequest request = publish();
  sign(request, kCredentials, {"us-east-1", "iotdata"}, kNow);
  CHECK(
      signature_in(request) == "7e86da1db1d9e5c329699b59191a4fb1d03731888bc6f9d1da92c548231a50a3"
  );
  CHECK(verify(request));

  SigV4Credentials temporary = kCredentials;
  temporary.session_token = "TOKEN==";
  HttpRequest with_token = publish();
  sign(with_token, temporary, {"us-east-1", "iotdata"}, kNow);
  CHECK(
      signature_in(with_token) == "1ee17da21c8e24512f7a915424b6833912065a020c86006585aa84c15ccbbe67"
  );
  CHECK(verify(with_token));
}

TEST_CASE("query signatures equal the published vectors, token signed or not") {
  SigV4Credentials temporary = kCredentials;
  temporary.session_token = "TOKEN==";
  HttpRequest unsigned_token = upgrade();
  presign(unsigned_token, temporary, {"us-east-1", "iotdevicegateway"}, kNow);
  CHECK(unsigned_token.target.ends_with("&X-Amz-Security-Token=TOKEN%3D%3D"));
  CHECK(
      signature_in(unsigned_token) ==
      "8aff489918842b2fcd17c603c1dc03db22c4bade58e8d3f8d0388e0d67274638"
  );
  CHECK(verify(unsigned_token));

  HttpRequest signed_token = upgrade();
  presign(
      signed_token,
      temporary,
      {"us-east-1", "iotdevicegateway"},
      kNow,
      {.expires_in = std::chrono::seconds(86400), .token_signed = true}
  );
  CHECK(
      signature_in(signed_token) ==
      "d2f5da4e853edd86d0d82fa1529544b0e3399377a4c365f2fcdbe01145e76f59"
  );
  CHECK(verify(signed_token));
}

TEST_CASE("requests signed by botocore verify") {
  std::ifstream file(IOTCORE_SOURCE_DIR "/tests/data/sigv4-botocore.json");
  std::stringstream text;
  text << file.rdbuf();
  const auto cases = parse_json(text.str());
  REQUIRE(cases);
  REQUIRE(cases->as_array().size() >= 8);
  for (const json::value& row : cases->as_array()) {
    const auto string_at = [&](std::string_view name) {
      return std::string(find_member(row.as_object(), name)->as_string());
    };
    INFO(string_at("name"));
    HttpRequest request{string_at("method"), string_at("target"), {}, string_at("body")};
    for (const auto& [name, value] : find_member(row.as_object(), "headers")->as_object()) {
      request.headers.add(std::string(name), std::string(value.as_string()));
    }
    const WallTime at = from_epoch_ms(find_member(row.as_object(), "at_ms")->as_int64());
    const Status status = verify(request, at);
    INFO((status ? "" : status.error().message()));
    CHECK(status);
    request.body += "x";
    CHECK(!verify(request, at));
  }
}

TEST_CASE("whatever is signed may not change") {
  HttpRequest request = publish();
  request.headers.add("x-amz-mqtt5-user-properties", "W10=");
  sign(request, kCredentials, {"us-east-1", "iotdata"}, kNow);
  REQUIRE(verify(request));
  const auto refused = [&](auto change) {
    HttpRequest changed = request;
    change(changed);
    return !verify(changed);
  };
  CHECK(refused([](HttpRequest& r) { r.body += "!"; }));
  CHECK(refused([](HttpRequest& r) { r.method = "PUT"; }));
  CHECK(refused([](HttpRequest& r) { r.target = "/topics/a%2Fc?qos=1"; }));
  CHECK(refused([](HttpRequest& r) { r.target = "/topics/a%2Fb?qos=0"; }));
  CHECK(refused([](HttpRequest& r) { r.headers.set("Host", "other.test"); }));
  CHECK(refused([](HttpRequest& r) { r.headers.set("x-amz-mqtt5-user-properties", "W11="); }));
  CHECK(refused([](HttpRequest& r) {
    std::string authorization = *r.headers.find("authorization");
    authorization.back() = authorization.back() == '0' ? '1' : '0';
    r.headers.set("Authorization", authorization);
  }));
  CHECK(!refused([](HttpRequest& r) { r.headers.add("Accept", "*/*"); }));
}

TEST_CASE("a signature holds for five minutes on either side") {
  HttpRequest request = publish();
  sign(request, kCredentials, {"us-east-1", "iotdata"}, kNow);
  using namespace std::chrono_literals;
  CHECK(verify(request, kNow + 5min));
  CHECK(verify(request, kNow - 5min));
  CHECK(errc_of(verify(request, kNow + 5min + 1s)) == Errc::kInvalidSignature);
  const Status early = verify(request, kNow - 5min - 1s);
  CHECK(errc_of(early) == Errc::kInvalidSignature);
  CHECK(
      early.error().message() ==
      "Signature not yet current: 20260115T120000Z is still later than 20260115T115959Z "
      "(20260115T115459Z + 5 min.)"
  );
}

TEST_CASE("a query signature holds until it expires") {
  using namespace std::chrono_literals;
  HttpRequest day = upgrade();
  presign(day, kCredentials, {"us-east-1", "iotdevicegateway"}, kNow);
  CHECK(verify(day, kNow + 24h));
  CHECK(!verify(day, kNow + 24h + 1s));
  HttpRequest unlimited = upgrade();
  presign(
      unlimited, kCredentials, {"us-east-1", "iotdevicegateway"}, kNow, {.expires_in = std::nullopt}
  );
  CHECK(verify(unlimited, kNow + 5min));
  CHECK(!verify(unlimited, kNow + 5min + 1s));
  HttpRequest too_long = upgrade();
  presign(
      too_long,
      kCredentials,
      {"us-east-1", "iotdevicegateway"},
      kNow,
      {.expires_in = std::chrono::hours(24 * 7) + 1s}
  );
  CHECK(errc_of(verify(too_long)) == Errc::kIncompleteSignature);
}

TEST_CASE("payload hashes") {
  for (const char* form : {"UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}) {
    HttpRequest request = publish();
    request.headers.add("x-amz-content-sha256", form);
    sign(request, kCredentials, {"us-east-1", "iotdata"}, kNow);
    const auto refused = verify(request);
    REQUIRE(!refused);
    CHECK(refused.error().code() == Errc::kInvalidSignature);
    CHECK(refused.error().message().find("not supported") != std::string::npos);
  }

  HttpRequest wrong = publish();
  wrong.headers.add("x-amz-content-sha256", std::string(64, '0'));
  sign(wrong, kCredentials, {"us-east-1", "iotdata"}, kNow);
  CHECK(!verify(wrong));
}

TEST_CASE("the scope's region is ours, unless any is accepted") {
  HttpRequest request = publish();
  sign(request, kCredentials, {"eu-west-1", "iotdata"}, kNow);
  CHECK(errc_of(verify(request)) == Errc::kInvalidSignature);
  CHECK(verify(request, kNow, {}));
}

TEST_CASE("the scope's service is one that the face takes") {
  HttpRequest request = upgrade();
  presign(request, kCredentials, {"us-east-1", "iot"}, kNow);
  const std::string_view services[] = {"iotdevicegateway", "iotdata"};
  const Status refused = verify(request, kNow, {.services = services});
  CHECK(errc_of(refused) == Errc::kInvalidSignature);
  CHECK(
      refused.error().message() ==
      "Credential should be scoped to correct service: 'iotdevicegateway', 'iotdata'."
  );
  const std::string_view others[] = {"iot"};
  CHECK(verify(request, kNow, {.services = others}));
}

TEST_CASE("malformed signatures are told what they lack") {
  const std::string date = "20260115T120000Z";
  const std::string signature(64, 'a');
  const auto code = [&](const std::string& authorization) {
    HttpRequest request = publish();
    request.headers.add("x-amz-date", date);
    request.headers.add("Authorization", authorization);
    const auto claim = parse_sigv4(request);
    return claim ? std::string("parsed") : std::string(claim.error().name());
  };
  const std::string credential = "Credential=K/20260115/us-east-1/iot/aws4_request";
  CHECK(
      code("AWS4-HMAC-SHA256 " + credential + ",SignedHeaders=host,Signature=" + signature) ==
      "parsed"
  );
  CHECK(code("AWS4-HMAC-SHA256") == "incomplete_signature");
  CHECK(code("AWS4-HMAC-SHA256 " + credential) == "incomplete_signature");
  CHECK(
      code("AWS4-HMAC-SHA256 " + credential + ", SignedHeaders=host, Signature=zz") ==
      "incomplete_signature"
  );
  CHECK(
      code("AWS4-HMAC-SHA256 " + credential + ", SignedHeaders=date, Signature=" + signature) ==
      "incomplete_signature"
  );
  CHECK(
      code(
          "AWS4-HMAC-SHA256 Credential=K/20260114/us-east-1/iot/aws4_request, "
          "SignedHeaders=host, Signature=" +
          signature
      ) == "invalid_signature"
  );
  CHECK(
      code(
          "AWS4-HMAC-SHA256 Credential=K/20260115/iot, SignedHeaders=host, Signature=" + signature
      ) == "incomplete_signature"
  );

  HttpRequest bearer = publish();
  bearer.headers.add("Authorization", "Bearer x");
  CHECK(errc_of(verify(bearer)) == Errc::kMissingAuthentication);
  HttpRequest plain = publish();
  CHECK(errc_of(verify(plain)) == Errc::kMissingAuthentication);
}

TEST_CASE("odd paths and queries sign as they verify") {
  for (const char* target :
       {"/",
        "/a//b/./c/../d/",
        "/things/t/jobs/$next",
        "/x?b=2&a=1&a=0&c",
        "/x?a=%20+%2B",
        "/x?%zz=1",
        "/api/things/shadow/ListNamedShadowsForThing/t%3A1"}) {
    INFO(target);
    HttpRequest request{"GET", target, {{"Host", "h"}, {"X-Amz-Odd", "  a   b  "}}, ""};
    sign(request, kCredentials, {"us-east-1", "iot"}, kNow);
    CHECK(verify(request));
  }
}

}  // namespace
}  // namespace iotcore::net
