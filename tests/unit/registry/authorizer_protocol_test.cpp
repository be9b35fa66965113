#include "registry/authorizer_protocol.h"

#include "base/json.h"

#include <catch2/catch.hpp>

namespace iotcore::registry {
namespace {

TEST_CASE("a user name may name an authorizer, its token and the signature") {
  const auto parsed = parse_user_name(
      "user?x-amz-customauthorizer-name=auth&X-Amz-CustomAuthorizer-Signature=a%2Bb+c%3D%3D&Token="
      "t+1&SDK=x&broken=%zz"
  );
  CHECK(parsed.authorizer_name == "auth");
  CHECK(parsed.signature == "a+b+c==");
  REQUIRE(parsed.find("token") != nullptr);
  CHECK(*parsed.find("token") == "t+1");
  CHECK(parsed.find("broken") == nullptr);
  CHECK_FALSE(parse_user_name("user").authorizer_name);
  CHECK_FALSE(parse_user_name("").authorizer_name);
  CHECK(parse_user_name("a?b?x-amz-customauthorizer-name=n").others.size() == 1);
}

TEST_CASE("a function is told what there is, and no more") {
  AuthorizerEvent event;
  event.connection_id = "id";
  CHECK(
      to_json_text(event) ==
      R"({"signatureVerified":false,"protocols":[],"protocolData":{},"connectionMetadata":{"id":"id"}})"
  );
  event.token = "t";
  event.signature_verified = true;
  event.server_name = "h";
  event.mqtt.emplace();
  event.mqtt->password = std::string("\xff\x00", 2);
  event.http.emplace();
  event.http->headers = {{"a", "b"}};
  event.http->query_string = "?x";
  CHECK(
      to_json_text(event) ==
      R"({"token":"t","signatureVerified":true,"protocols":["tls","http","mqtt"],"protocolData":{"tls":{"serverName":"h"},)"
      R"("http":{"headers":{"a":"b"},"queryString":"?x"},"mqtt":{"password":"/wA="}},"connectionMetadata":{"id":"id"}})"
  );
}

std::string answer(const std::string& members) {
  return R"({"isAuthenticated":true,"principalId":"p1","policyDocuments":[])" + members + "}";
}

TEST_CASE("a function's answer is held against its rules") {
  const auto plain = parse_authorizer_answer(answer(""));
  REQUIRE(plain);
  CHECK(plain->principal_id == "p1");
  CHECK(plain->disconnect_after == std::chrono::hours(24));
  CHECK_FALSE(plain->refresh_after);
  const auto timed =
      parse_authorizer_answer(answer(R"(,"disconnectAfterInSeconds":1,"refreshAfterInSeconds":1e9)")
      );
  CHECK(timed->disconnect_after == std::chrono::seconds(300));
  CHECK(timed->refresh_after == std::chrono::seconds(86'400));
  CHECK(
      parse_authorizer_answer(answer(R"(,"disconnectAfterInSeconds":0e999)"))->disconnect_after ==
      std::chrono::seconds(300)
  );
  CHECK_FALSE(parse_authorizer_answer(R"({"isAuthenticated":false})")->is_authenticated);

  const std::string document =
      R"({"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:*","Resource":"*"}})";
  std::string as_text;
  append_json_string(as_text, document);
  const auto with = [](const std::string& documents) {
    return parse_authorizer_answer(
        R"({"isAuthenticated":true,"principalId":"p1","policyDocuments":[)" + documents + "]}"
    );
  };
  REQUIRE(with(document + "," + as_text));
  CHECK(with(document + "," + as_text)->policies.size() == 2);
  CHECK(with(document)->policy_texts.front() == document);
  std::string many = document;
  for (int i = 0; i < 9; ++i) {
    many += "," + document;
  }
  CHECK(with(many));
  CHECK_FALSE(with(many + "," + document));
  CHECK_FALSE(with("5"));
  CHECK_FALSE(with("{}"));
  CHECK_FALSE(with(
      R"({"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:*","Resource":")" +
      std::string(2048, 'x') + R"("}})"
  ));
  for (const char* text :
       {"",
        "[]",
        "{}",
        R"({"isAuthenticated":"true"})",
        R"({"isAuthenticated":true,"policyDocuments":[]})",
        R"({"isAuthenticated":true,"principalId":"a-b","policyDocuments":[]})",
        R"({"isAuthenticated":true,"principalId":"","policyDocuments":[]})",
        R"({"isAuthenticated":true,"principalId":"p"})",
        R"({"isAuthenticated":true,"principalId":"p","policyDocuments":[],"refreshAfterInSeconds":"x"})"}) {
    INFO(text);
    const auto refused = parse_authorizer_answer(text);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == Errc::kInvalidResponse);
  }
}

}  // namespace
}  // namespace iotcore::registry
