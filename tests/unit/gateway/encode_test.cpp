#include "gateway/iso8601.h"
#include "gateway/transcode.h"
#include "proto/api/certificates.pb.h"
#include "proto/api/data.pb.h"
#include "proto/api/rules.pb.h"
#include "proto/api/thing_groups.pb.h"
#include "proto/api/things.pb.h"
#include "tests/unit/gateway/samples.h"

#include <catch2/catch.hpp>

namespace iotcore::gateway {
namespace {

template <typename Response>
std::string body_of(api::Plane plane, std::string_view operation, const Response& response) {
  return encode(*api_table().find(plane, operation), response).body;
}

TEST_CASE("times are seconds with the milliseconds they have") {
  const auto date = [](std::int64_t ms) {
    api::DescribeThingTypeResponse response;
    response.mutable_thing_type_metadata()->set_creation_date(ms);
    const std::string body = body_of(api::IOT, "DescribeThingType", response);
    const std::size_t at = body.find("creationDate\":") + 14;
    return body.substr(at, body.find('}', at) - at);
  };
  CHECK(date(1'700'000'000'000) == "1700000000");
  CHECK(date(1'700'000'000'050) == "1700000000.050");
  CHECK(date(0) == "0");
  CHECK(date(-500) == "-0.500");
}

TEST_CASE("maps are in the order of their keys, texts escaped, blobs in base64") {
  api::DescribeThingResponse thing;
  (*thing.mutable_attributes())["b"] = "2";
  (*thing.mutable_attributes())["a"] = "\"1\"";
  thing.set_version(9'007'199'254'740'993);
  CHECK(
      body_of(api::IOT, "DescribeThing", thing) ==
      R"({"defaultClientId":"","thingName":"","thingId":"","thingArn":"","attributes":{"a":"\"1\"","b":"2"},"version":9007199254740993})"
  );
  api::GetRetainedMessageResponse retained;
  retained.set_topic("a/b");
  retained.set_payload(std::string("\x00\xff", 2));
  CHECK(
      body_of(api::IOT_DATA, "GetRetainedMessage", retained) ==
      R"({"topic":"a/b","payload":"AP8=","qos":0,"lastModifiedTime":0})"
  );
  api::CreateKeysAndCertificateResponse keys;
  keys.mutable_key_pair()->set_public_key("p");
  CHECK(
      body_of(api::IOT, "CreateKeysAndCertificate", keys).find(R"("keyPair":{"PublicKey":"p")") !=
      std::string::npos
  );
}

TEST_CASE("a rule's actions come back as they were given") {
  api::GetTopicRuleResponse rule;
  rule.mutable_rule()->add_actions(R"({"republish":{"topic":"b"}})");
  rule.mutable_rule()->set_error_action(R"({"log":{}})");
  const std::string body = body_of(api::IOT, "GetTopicRule", rule);
  CHECK(body.find(R"("actions":[{"republish":{"topic":"b"}}])") != std::string::npos);
  CHECK(body.find(R"("errorAction":{"log":{}})") != std::string::npos);
}

TEST_CASE("empty lists are there, except where AWS leaves them out") {
  CHECK(
      body_of(api::IOT, "ListThingGroups", api::ListThingGroupsResponse()) ==
      R"({"thingGroups":[]})"
  );
  api::DescribeThingGroupResponse group;
  api::ThingGroupMetadata& metadata = *group.mutable_thing_group_metadata();
  metadata.set_creation_date(0);
  const auto metadata_in = [](const std::string& body) {
    return body.substr(body.find("thingGroupMetadata\":") + 20);
  };
  CHECK(metadata_in(body_of(api::IOT, "DescribeThingGroup", group)) == R"({"creationDate":0}})");
  metadata.add_root_to_parent_thing_groups()->set_group_name("root");
  CHECK(
      metadata_in(body_of(api::IOT, "DescribeThingGroup", group)) ==
      R"({"rootToParentThingGroups":[{"groupName":"root","groupArn":""}],"creationDate":0}})"
  );
}

TEST_CASE("times in queries") {
  CHECK(parse_iso8601_ms("2023-11-14T22:13:20Z") == 1'700'000'000'000);
  CHECK(parse_iso8601_ms("2023-11-14T22:13:21.500000Z") == 1'700'000'001'500);
  CHECK(parse_iso8601_ms("2023-11-14T22:13:20.1239Z") == 1'700'000'000'123);
  CHECK(parse_iso8601_ms("1969-12-31T23:59:59Z") == -1000);
  for (const char* wrong :
       {"",
        "2023-11-14",
        "2023-11-14T22:13:20",
        "2023-02-30T00:00:00Z",
        "2023-11-14T24:00:00Z",
        "2023-11-14T22:13:20.Z",
        "2023-11-14T22:13:20.5xZ",
        "2023-11-14T22:13:20+00:00"}) {
    INFO(wrong);
    CHECK(!parse_iso8601_ms(wrong));
  }
}

}  // namespace
}  // namespace iotcore::gateway
