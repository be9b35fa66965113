#include "fleet/job_request.h"

#include "base/json.h"

#include <catch2/catch.hpp>

#include <string>
#include <string_view>

namespace iotcore::fleet {
namespace {

constexpr std::int64_t kNow = 1'700'000'000;

std::string answer(std::string_view request, std::string_view payload) {
  const std::string topic = "$aws/things/lamp/jobs/" + std::string(request);
  const auto parsed = parse_job_topic(topic);
  REQUIRE(parsed);
  CHECK(parsed->thing == "lamp");
  const JobAnswer got = answer_job_request(*parsed, topic, payload, kNow);
  REQUIRE(got.topic.starts_with(topic + '/'));
  return got.topic.substr(topic.size() + 1) + ' ' + got.payload;
}

std::string code(std::string_view request, std::string_view payload) {
  const std::string all = answer(request, payload);
  if (!all.starts_with("rejected ")) {
    return "accepted";
  }
  const json::value body = parse_json(all.substr(9)).value();
  CHECK(body.at("timestamp") == kNow);
  CHECK_FALSE(body.at("message").get_string().empty());
  return std::string(body.at("code").get_string());
}

TEST_CASE("nothing is pending where there are no jobs") {
  CHECK(
      answer("get", R"({"clientToken":"t1"})") ==
      R"(accepted {"clientToken":"t1","timestamp":1700000000,"inProgressJobs":[],"queuedJobs":[]})"
  );
  CHECK(
      answer("start-next", R"({"statusDetails":{"step":"1"},"stepTimeoutInMinutes":-1})") ==
      R"(accepted {"timestamp":1700000000})"
  );
  CHECK(answer("$next/get", "") == R"(accepted {"timestamp":1700000000})");
}

TEST_CASE("who names a job is told that it does not exist") {
  CHECK(code("j-1/get", "{}") == "ResourceNotFound");
  CHECK(
      code("j_1/update", R"({"status":"SUCCEEDED","expectedVersion":"2"})") == "ResourceNotFound"
  );
}

TEST_CASE("what is wrong with a request is said first, with the client's token") {
  CHECK(code("get", "{") == "InvalidJson");
  CHECK(code("get", "\xff") == "InvalidJson");
  CHECK(code("get", "[]") == "InvalidJson");
  CHECK(code("get", R"({"clientToken":7})") == "InvalidRequest");
  CHECK(code("get", R"({"clientToken":")" + std::string(65, 't') + "\"}") == "InvalidRequest");
  CHECK(code("start-next", R"({"statusDetails":{"a b":"1"}})") == "InvalidRequest");
  CHECK(code("start-next", R"({"statusDetails":{"a":1}})") == "InvalidRequest");
  CHECK(code("start-next", R"({"statusDetails":[]})") == "InvalidRequest");
  CHECK(code("start-next", R"({"stepTimeoutInMinutes":0})") == "InvalidRequest");
  CHECK(code("start-next", R"({"stepTimeoutInMinutes":10081})") == "InvalidRequest");
  CHECK(code("j/get", R"({"executionNumber":"1"})") == "InvalidRequest");
  CHECK(code("j/get", R"({"includeJobDocument":1})") == "InvalidRequest");
  CHECK(code("j!/get", "") == "InvalidRequest");
  CHECK(code(std::string(65, 'j') + "/get", "") == "InvalidRequest");
  CHECK(code("j/update", "{}") == "InvalidRequest");
  CHECK(code("j/update", R"({"status":"QUEUED"})") == "InvalidRequest");
  CHECK(code("j/update", R"({"status":"FAILED","expectedVersion":"x"})") == "InvalidRequest");
  CHECK(code("$next/update", R"({"status":"FAILED"})") == "InvalidRequest");
  CHECK(
      answer("j/update", R"({"clientToken":"t","status":"QUEUED"})").find(R"("clientToken":"t")") !=
      std::string::npos
  );
}

TEST_CASE("other topics of things are no requests about jobs") {
  for (const std::string_view topic :
       {"$aws/things/lamp/jobs",
        "$aws/things/lamp/jobs/notify",
        "$aws/things/lamp/jobs/a/b/get",
        "$aws/things/lamp/jobs/a/delete",
        "$aws/things//jobs/get",
        "$aws/things/lamp/shadow/get",
        "lamp/jobs/get"}) {
    CAPTURE(topic);
    CHECK_FALSE(parse_job_topic(topic));
  }
}

}  // namespace
}  // namespace iotcore::fleet
