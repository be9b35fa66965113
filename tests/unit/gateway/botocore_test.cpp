// What botocore puts on the wire decodes to what botocore was given.
#include "base/crypto.h"
#include "base/json.h"
#include "gateway/transcode.h"
#include "tests/unit/gateway/samples.h"

#include <catch2/catch.hpp>
#include <google/protobuf/descriptor.h>

#include <fstream>
#include <sstream>

namespace iotcore::gateway {
namespace {

// All of `wanted` is in `got`, which may have more members with their defaults.
void check_contains(const json::value& got, const json::value& wanted) {
  if (wanted.is_object() && got.is_object()) {
    for (const auto& [name, member] : wanted.get_object()) {
      INFO(std::string(name));
      const json::value* found = got.get_object().if_contains(name);
      REQUIRE(found != nullptr);
      check_contains(*found, member);
    }
  } else {
    INFO(to_json(got) << " for " << to_json(wanted));
    CHECK(got == wanted);
  }
}

std::string string_at(const json::value& row, std::string_view name) {
  return std::string(find_member(row.as_object(), name)->as_string());
}

TEST_CASE("botocore's requests decode to their members") {
  std::ifstream file(IOTCORE_SOURCE_DIR "/tests/data/botocore-requests.json");
  std::stringstream text;
  text << file.rdbuf();
  const auto rows = parse_json(text.str());
  REQUIRE(rows);
  REQUIRE(rows->as_array().size() >= 48);
  for (const json::value& row : rows->as_array()) {
    INFO(string_at(row, "operation"));
    net::HttpRequest request{
        string_at(row, "method"),
        string_at(row, "target"),
        {},
        *from_base64(string_at(row, "body_base64"))};
    for (const auto& [name, value] : find_member(row.as_object(), "headers")->as_object()) {
      request.headers.add(std::string(name), std::string(value.as_string()));
    }
    INFO(request.target);
    const std::string service = string_at(row, "service");
    const auto match = api_table().route(
        request.method,
        net::split_target(request.target).path,
        {.signing_service = service == "iot-data" ? "iotdata" : service}
    );
    REQUIRE(match);
    CHECK(match->operation->name == string_at(row, "operation"));
    const auto message = decode(request, *match);
    INFO((message ? "" : message.error().message()));
    REQUIRE(message);

    MessagePlan as_body = *match->operation->request;
    for (MemberPlan& member : as_body.members) {
      member.place = MemberPlan::Place::kBody;
    }
    Operation mirrored = *match->operation;
    mirrored.response = &as_body;
    const auto got = parse_json(encode(mirrored, **message).body);
    REQUIRE(got);
    check_contains(*got, *find_member(row.as_object(), "members"));
  }
}

}  // namespace
}  // namespace iotcore::gateway
