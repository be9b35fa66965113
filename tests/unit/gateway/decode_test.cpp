#include "base/crypto.h"
#include "gateway/transcode.h"
#include "proto/api/data.pb.h"
#include "proto/api/policies.pb.h"
#include "proto/api/rules.pb.h"
#include "proto/api/things.pb.h"
#include "tests/unit/gateway/samples.h"

#include <catch2/catch.hpp>

namespace iotcore::gateway {
namespace {

template <typename Request>
Result<Request> decoded(net::HttpRequest request) {
  const auto match = api_table().route(request.method, net::split_target(request.target).path, {});
  REQUIRE(match);
  IOTCORE_ASSIGN(const auto message, decode(request, *match));
  const auto* typed = dynamic_cast<const Request*>(message.get());
  REQUIRE(typed != nullptr);
  return *typed;
}

template <typename Request>
std::string refusal(net::HttpRequest request) {
  const auto result = decoded<Request>(std::move(request));
  return result ? "accepted" : result.error().message();
}

net::HttpRequest create_thing(std::string body, std::string name = "t") {
  return {"POST", "/things/" + std::move(name), {}, std::move(body)};
}

TEST_CASE("members come from path, query, header and body") {
  const auto thing = decoded<api::CreateThingRequest>(create_thing(
      R"({"thingTypeName":"T","attributePayload":{"attributes":{"a":"b","c":""},"merge":true},"unknown":[1]})",
      "t%3A1"
  ));
  REQUIRE(thing);
  CHECK(thing->thing_name() == "t:1");
  CHECK(thing->thing_type_name() == "T");
  CHECK(!thing->has_billing_group_name());
  CHECK(thing->attribute_payload().attributes().at("a") == "b");
  CHECK(thing->attribute_payload().attributes().at("c").empty());
  CHECK(thing->attribute_payload().merge());

  const auto attach = decoded<api::AttachThingPrincipalRequest>(
      {"PUT",
       "/things/t/principals?thingPrincipalType=EXCLUSIVE_THING",
       {{"X-Amzn-Principal", "arn:aws:iot:us-east-1:1:cert/a"}},
       ""}
  );
  REQUIRE(attach);
  CHECK(attach->principal() == "arn:aws:iot:us-east-1:1:cert/a");
  CHECK(attach->thing_principal_type() == "EXCLUSIVE_THING");
}

TEST_CASE("null and an empty body are absence") {
  const auto thing = decoded<api::CreateThingRequest>(
      create_thing(R"({"thingTypeName":null,"attributePayload":null})")
  );
  REQUIRE(thing);
  CHECK(!thing->has_thing_type_name());
  CHECK(!thing->has_attribute_payload());
  CHECK(decoded<api::CreateThingRequest>(create_thing("")));
  CHECK(decoded<api::DescribeThingRequest>({"GET", "/things/t", {}, "not json"}));
}

TEST_CASE("queries are typed") {
  const auto things = decoded<api::ListThingsRequest>(
      {"GET", "/things?maxResults=250&usePrefixAttributeValue=TRUE&other=1", {}, ""}
  );
  REQUIRE(things);
  CHECK(things->max_results() == 250);
  CHECK(things->use_prefix_attribute_value());
  CHECK(
      refusal<api::ListThingsRequest>({"GET", "/things?maxResults=ten", {}, ""}) ==
      "Member 'maxResults' must be an integer."
  );
  CHECK(
      refusal<api::ListThingsRequest>({"GET", "/things?usePrefixAttributeValue=1", {}, ""}) ==
      "Member 'usePrefixAttributeValue' must be true or false."
  );
  CHECK(
      refusal<api::ListThingsRequest>({"GET", "/things?maxResults=99999999999", {}, ""}) ==
      "Member 'maxResults' must be an integer."
  );
  const auto certificates = decoded<api::ListPoliciesRequest>(
      {"GET", "/policies?isAscendingOrder=true&ascendingOrder=false", {}, ""}
  );
  REQUIRE(certificates);
  CHECK(certificates->ascending_order());
}

TEST_CASE("violations are worded as AWS words them") {
  CHECK(
      refusal<api::CreateThingRequest>(create_thing("", "a%20b")) ==
      "1 validation error detected: Value 'a b' at 'thingName' failed to satisfy constraint: "
      "Member "
      "must satisfy regular expression pattern: [a-zA-Z0-9:_-]+"
  );
  CHECK(
      refusal<api::ListThingsRequest>({"GET", "/things?maxResults=251", {}, ""}) ==
      "1 validation error detected: Value '251' at 'maxResults' failed to satisfy constraint: "
      "Member "
      "must have value less than or equal to 250"
  );
  CHECK(
      refusal<api::AttachPolicyRequest>({"PUT", "/target-policies/p", {}, "{}"}) ==
      "1 validation error detected: Value null at 'target' failed to satisfy constraint: Member "
      "must "
      "not be null"
  );
  CHECK(
      refusal<api::AttachThingPrincipalRequest>(
          {"PUT", "/things/t/principals?thingPrincipalType=X", {}, ""}
      ) ==
      "2 validation errors detected: Value 'X' at 'thingPrincipalType' failed to satisfy "
      "constraint: "
      "Member must satisfy enum value set: [EXCLUSIVE_THING, NON_EXCLUSIVE_THING]; Value null at "
      "'principal' failed to satisfy constraint: Member must not be null"
  );
  CHECK(
      refusal<api::CreatePolicyRequest>(
          {"POST", "/policies/p", {}, R"({"policyDocument":"{}","tags":[{"Key":""}]})"}
      ) ==
      "1 validation error detected: Value '' at 'tags.1.member.Key' failed to satisfy constraint: "
      "Member must have length greater than or equal to 1"
  );
  CHECK(
      refusal<api::CreateThingRequest>(
          create_thing(R"({"attributePayload":{"attributes":{"a b":"x y"}}})")
      )
          .starts_with("2 validation errors detected: Value 'a b' at 'attributePayload.attributes'")
  );
}

TEST_CASE("lengths count characters, at the limit and one above") {
  const auto list_with_type = [](std::size_t n) {
    return decoded<api::ListThingsRequest>(
        {"GET", "/things?thingTypeName=" + std::string(n, 'a'), {}, ""}
    );
  };
  CHECK(list_with_type(128));
  CHECK(!list_with_type(129));
  const auto describe = [](std::size_t n) {
    std::string value;
    for (std::size_t i = 0; i < n; ++i) {
      value += "%C3%BC";
    }
    return refusal<api::GetThingShadowRequest>({"GET", "/things/t/shadow?name=" + value, {}, ""});
  };
  CHECK(describe(64).find("length") == std::string::npos);
  CHECK(describe(65).find("length less than or equal to 64") != std::string::npos);
}

TEST_CASE("a long value is not repeated whole, and violations are counted, not all told") {
  CHECK(refusal<api::CreateThingRequest>(create_thing("", std::string(5000, 'a'))).size() < 600);
  std::string tags;
  for (int i = 0; i < 40; ++i) {
    tags += R"({"Key":""},)";
  }
  tags.pop_back();
  const std::string message = refusal<api::CreatePolicyRequest>(
      {"POST", "/policies/p", {}, R"({"policyDocument":"{}","tags":[)" + tags + "]}"}
  );
  CHECK(message.starts_with("40 validation errors detected: "));
  CHECK(message.size() < 4000);
}

TEST_CASE("JSON types are strict") {
  const auto body_refusal = [](std::string body) {
    return refusal<api::UpdateThingRequest>({"PATCH", "/things/t", {}, std::move(body)});
  };
  CHECK(body_refusal(R"({"thingTypeName":1})") == "Member 'thingTypeName' must be a string.");
  CHECK(
      body_refusal(R"({"expectedVersion":"1"})") == "Member 'expectedVersion' must be an integer."
  );
  CHECK(
      body_refusal(R"({"expectedVersion":1.5})") == "Member 'expectedVersion' must be an integer."
  );
  CHECK(
      body_refusal(R"({"removeThingType":"true"})") ==
      "Member 'removeThingType' must be true or false."
  );
  CHECK(
      body_refusal(R"({"attributePayload":[]})") == "Member 'attributePayload' must be an object."
  );
  CHECK(
      body_refusal(R"({"attributePayload":{"attributes":{"a":1}}})") ==
      "Member 'attributePayload.attributes.a' must be a string."
  );
  CHECK(body_refusal("[]") == "The body must be a JSON object.");
  CHECK(body_refusal("{") != "accepted");
  CHECK(body_refusal(R"({"expectedVersion":9223372036854775807})") == "accepted");
  CHECK(
      body_refusal(R"({"expectedVersion":9223372036854775808})") ==
      "Member 'expectedVersion' must be an integer."
  );
}

TEST_CASE("malformed escapes and text that is not UTF-8 are refused") {
  CHECK(
      refusal<api::DescribeThingRequest>({"GET", "/things/%zz", {}, ""}) ==
      "The path holds a malformed percent escape."
  );
  CHECK(
      refusal<api::ListThingsRequest>({"GET", "/things?nextToken=%", {}, ""}) ==
      "The query string holds a malformed percent escape."
  );
  CHECK(
      refusal<api::PublishRequest>({"POST", "/topics/%ff", {}, ""}) ==
      "Member 'topic' must be valid UTF-8."
  );
}

TEST_CASE("a rule's payload is the body, its actions kept as JSON") {
  const auto rule = decoded<api::CreateTopicRuleRequest>(
      {"POST",
       "/rules/r",
       {{"x-amz-tagging", "a=b"}},
       R"({"sql":"SELECT 1","actions":[{"republish":{"topic":"b","qos":0,"x":[1.5,null]}}],"errorAction":{"log":{}}})"}
  );
  REQUIRE(rule);
  CHECK(rule->tags() == "a=b");
  CHECK(rule->topic_rule_payload().sql() == "SELECT 1");
  REQUIRE(rule->topic_rule_payload().actions_size() == 1);
  CHECK(
      rule->topic_rule_payload().actions(0) ==
      R"({"republish":{"topic":"b","qos":0,"x":[1.5,null]}})"
  );
  CHECK(rule->topic_rule_payload().error_action() == R"({"log":{}})");
  CHECK(
      refusal<api::CreateTopicRuleRequest>({"POST", "/rules/r", {}, ""}) ==
      "1 validation error detected: Value null at 'topicRulePayload' failed to satisfy constraint: "
      "Member must not be null"
  );
  CHECK(
      refusal<api::CreateTopicRuleRequest>({"POST", "/rules/r", {}, R"({"sql":"SELECT 1"})"}) ==
      "1 validation error detected: Value null at 'topicRulePayload.actions' failed to satisfy "
      "constraint: Member must not be null"
  );
}

TEST_CASE("publish takes raw bytes and MQTT 5 properties") {
  const std::string raw("\x00\xff{", 3);
  const auto publish = decoded<api::PublishRequest>(
      {"POST",
       "/topics/"
       "a%2Fb%20c?qos=1&retain=true&contentType=text%2Fplain&responseTopic=r&messageExpiry=60",
       {{"x-amz-mqtt5-user-properties", to_base64(R"([{"k":"v"}])")},
        {"x-amz-mqtt5-correlation-data", "AAE="},
        {"x-amz-mqtt5-payload-format-indicator", "UTF8_DATA"}},
       raw}
  );
  REQUIRE(publish);
  CHECK(publish->topic() == "a/b c");
  CHECK(publish->qos() == 1);
  CHECK(publish->retain());
  CHECK(publish->payload() == raw);
  CHECK(publish->content_type() == "text/plain");
  CHECK(publish->message_expiry() == 60);
  CHECK(publish->user_properties() == R"([{"k":"v"}])");
  CHECK(publish->correlation_data() == std::string("\x00\x01", 2));
  CHECK(decoded<api::PublishRequest>({"POST", "/topics/a/b", {}, ""})->topic() == "a/b");
  CHECK(
      refusal<api::PublishRequest>({"POST", "/topics/a?qos=3", {}, ""}).find("'qos'") !=
      std::string::npos
  );
}

TEST_CASE("user properties may be encoded twice, never wrongly") {
  const auto properties = [](std::string header) {
    const auto publish = decoded<api::PublishRequest>(
        {"POST", "/topics/a", {{"x-amz-mqtt5-user-properties", std::move(header)}}, ""}
    );
    return publish ? publish->user_properties() : publish.error().message();
  };
  const std::string plain = R"([{"k":"v"}])";
  CHECK(properties(to_base64(plain)) == plain);
  CHECK(properties(to_base64(R"("[{\"k\":\"v\"}]")")) == plain);
  CHECK(properties(to_base64('"' + to_base64(plain) + '"')) == plain);
  CHECK(properties("%%%") == "Member 'userProperties' must be JSON in base64.");
  CHECK(properties(to_base64("[")) == "Member 'userProperties' must be JSON in base64.");
}

}  // namespace
}  // namespace iotcore::gateway
