#include "gateway/shadow_operations.h"

#include "base/json.h"
#include "gateway/transcode.h"
#include "registry/http_authorizer.h"
#include "tests/unit/gateway/samples.h"
#include "tests/unit/registry/fixture.h"
#include "tests/unit/shadow/service_fixture.h"

#include <catch2/catch.hpp>

#include <optional>
#include <string>

namespace iotcore::gateway {
namespace {

using broker::PeerIdentity;

struct ShadowApi : registry::Fixture {
  ShadowApi() { register_shadow_operations(operations, *shadows.service, authorizer, pool); }

  // Answers as over HTTP.
  const net::HttpResponse& send(
      const std::string& method,
      const std::string& target,
      const std::string& body = "",
      std::optional<PeerIdentity> peer = std::nullopt
  ) {
    CallerIdentity caller;
    caller.signing_service = "iotdata";
    if (peer) {
      caller.peer = *peer;
      caller.signing_service = "";
    } else {
      caller.peer.kind = PeerIdentity::Kind::kAccessKey;
      caller.peer.principal = "AKID";
    }
    response.reset();
    dispatcher.dispatch({method, target, {}, body}, caller, [this](net::HttpResponse got) {
      REQUIRE(!response);
      response = std::move(got);
    });
    pool.run();
    shadows.settle();
    REQUIRE(response);
    return *response;
  }

  std::string error() const {
    const std::string* name = response->headers.find("x-amzn-ErrorType");
    return name == nullptr ? "" : *name;
  }

  std::string message() const {
    return std::string(parse_json(response->body)->at("message").as_string());
  }

  // A device that may do `action` to `resource`.
  PeerIdentity device(const std::string& action, const std::string& resource) {
    const auto made = certificate();
    const std::string name = "policy-" + made.certificate_id().substr(0, 8);
    REQUIRE(create_policy(
        name,
        R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":")" + action +
            R"(","Resource":")" + resource + R"("}]})"
    ));
    REQUIRE(attach_policy(name, made.certificate_arn()));
    PeerIdentity peer;
    peer.kind = PeerIdentity::Kind::kCertificate;
    peer.principal = made.certificate_id();
    peer.source_ip = "192.0.2.1";
    return peer;
  }

  shadow::test::ServiceFixture shadows;
  Metrics metrics;
  registry::HttpAuthorizer authorizer{registry.devices(), clock, metrics};
  OperationRegistry operations{api_table()};
  Dispatcher dispatcher{api_table(), operations, pool, {"us-east-1", "000000000000"}};
  std::optional<net::HttpResponse> response;
};

constexpr const char* kUpdate = R"({"state":{"desired":{"led":"on"}},"clientToken":"t"})";

TEST_CASE_METHOD(ShadowApi, "a shadow is written, read and deleted as raw JSON") {
  CHECK(send("POST", "/things/t1/shadow", kUpdate).status == 200);
  CHECK(
      response->body ==
      R"({"state":{"desired":{"led":"on"}},"metadata":{"desired":{"led":{"timestamp":1700000000}}},)"
      R"("version":1,"timestamp":1700000000,"clientToken":"t"})"
  );
  CHECK(*response->headers.find("Content-Type") == "application/json");
  // The devices of the thing hear of it.
  REQUIRE(shadows.take().size() == 3);
  CHECK(send("GET", "/things/t1/shadow").status == 200);
  CHECK(parse_json(response->body)->at("state").at("delta").at("led") == "on");
  CHECK(send("DELETE", "/things/t1/shadow").status == 200);
  CHECK(response->body == R"({"version":1,"timestamp":1700000000})");
  const auto published = shadows.take();
  REQUIRE(published.size() == 1);
  CHECK(published[0].topic == "$aws/things/t1/shadow/delete/accepted");
  CHECK(send("GET", "/things/t1/shadow").status == 404);
}

TEST_CASE_METHOD(ShadowApi, "errors of shadows have the names and words of AWS") {
  CHECK(send("GET", "/things/t1/shadow").status == 404);
  CHECK(error() == "ResourceNotFoundException");
  CHECK(message() == "No shadow exists with name: 't1'");
  CHECK(send("GET", "/things/t1/shadow?name=s").status == 404);
  CHECK(message() == "No shadow exists with name: 't1~s'");
  CHECK(send("DELETE", "/things/t1/shadow").status == 404);
  CHECK(send("POST", "/things/t1/shadow", "{").status == 400);
  CHECK(error() == "InvalidRequestException");
  CHECK(message() == "Payload contains invalid json");
  CHECK(send("POST", "/things/t1/shadow", "{}").status == 400);
  CHECK(message() == "Missing required node: state");
  CHECK(send("POST", "/things/t1/shadow", "{\"state\":{\"desired\":\"\xff\"}}").status == 415);
  CHECK(error() == "UnsupportedDocumentEncodingException");
  const std::string large = R"({"state":{"desired":{"a":")" + std::string(9000, 'x') + "\"}}}";
  CHECK(send("POST", "/things/t1/shadow", large).status == 413);
  CHECK(error() == "RequestEntityTooLargeException");
  CHECK(send("POST", "/things/t1/shadow", kUpdate).status == 200);
  CHECK(send("POST", "/things/t1/shadow", R"({"state":{},"version":7})").status == 409);
  CHECK(error() == "ConflictException");
  CHECK(message() == "Version conflict");
  CHECK(send("PUT", "/things/t1/shadow", kUpdate).status == 405);
  CHECK(error() == "MethodNotAllowedException");
  CHECK(send("GET", "/things/t%2F1/shadow").status == 400);
  CHECK(send("GET", "/things/t1/shadow?name=a%20b").status == 400);
  CHECK(send("GET", "/things/t1/shadow?name=" + std::string(65, 'a')).status == 400);
  shadows.take();
  CHECK(send("POST", "/things/t1/shadow", "{}").status == 400);
  CHECK(shadows.take().empty());
}

TEST_CASE_METHOD(ShadowApi, "named shadows are listed page by page, without the classic one") {
  const std::string path = "/api/things/shadow/ListNamedShadowsForThing/t1";
  CHECK(send("GET", path).body == R"({"results":[],"timestamp":1700000000})");
  for (const char* shadow : {"?name=b", "?name=$package", "?name=a", "", "?name=c"}) {
    CHECK(send("POST", std::string("/things/t1/shadow") + shadow, kUpdate).status == 200);
  }
  CHECK(send("POST", "/things/t11/shadow?name=x", kUpdate).status == 200);
  CHECK(send("DELETE", "/things/t1/shadow?name=b").status == 200);
  CHECK(send("GET", path).body == R"({"results":["$package","a","c"],"timestamp":1700000000})");
  CHECK(send("GET", path + "?pageSize=2").status == 200);
  const json::value first = *parse_json(response->body);
  CHECK(first.at("results").as_array() == json::array{"$package", "a"});
  const std::string token(first.at("nextToken").as_string());
  CHECK(send("GET", path + "?pageSize=2&nextToken=" + token).status == 200);
  CHECK(response->body == R"({"results":["c"],"timestamp":1700000000})");
  CHECK(send("GET", path + "?pageSize=0").status == 400);
  CHECK(send("GET", path + "?pageSize=101").status == 400);
  CHECK(send("GET", path + "?nextToken=!").status == 400);
}

TEST_CASE_METHOD(ShadowApi, "a device does what its policies allow, shadow by shadow") {
  const std::string arn = registry::kArn;
  const PeerIdentity reader = device("iot:GetThingShadow", arn + "thing/t1");
  const PeerIdentity named = device("iot:*", arn + "thing/t1/s");
  REQUIRE(send("POST", "/things/t1/shadow", kUpdate).status == 200);
  REQUIRE(send("POST", "/things/t1/shadow?name=s", kUpdate).status == 200);
  CHECK(send("GET", "/things/t1/shadow", "", reader).status == 200);
  CHECK(send("GET", "/things/t1/shadow?name=s", "", reader).status == 403);
  CHECK(error() == "ForbiddenException");
  CHECK(send("POST", "/things/t1/shadow", kUpdate, reader).status == 403);
  CHECK(send("DELETE", "/things/t1/shadow", "", reader).status == 403);
  CHECK(send("GET", "/things/t2/shadow", "", reader).status == 403);
  CHECK(send("GET", "/things/t1/shadow", "", named).status == 403);
  CHECK(send("POST", "/things/t1/shadow?name=s", kUpdate, named).status == 200);
  CHECK(send("DELETE", "/things/t1/shadow?name=s", "", named).status == 200);
  const std::string list = "/api/things/shadow/ListNamedShadowsForThing/t1";
  CHECK(send("GET", list, "", reader).status == 403);
  CHECK(send("GET", list, "", device("iot:ListNamedShadowsForThing", "*")).status == 200);
  // Nobody in particular may do nothing, but on the development listener.
  PeerIdentity nobody;
  CHECK(send("GET", "/things/t1/shadow", "", nobody).status == 403);
  nobody.development = true;
  CHECK(send("GET", "/things/t1/shadow", "", nobody).status == 200);
}

}  // namespace
}  // namespace iotcore::gateway
