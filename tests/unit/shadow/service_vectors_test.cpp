#include "shadow/document/operations.h"
#include "tests/unit/shadow/service_fixture.h"
#include "tests/vectors/shadow_replay.h"

#include <catch2/catch.hpp>

#include <fstream>

namespace iotcore::shadow {
namespace {

using test::Published;
using test::ServiceFixture;
using vectors::Answers;

std::vector<json::object> all_vectors() {
  std::ifstream in(std::string(IOTCORE_SOURCE_DIR) + "/tests/vectors/shadow.jsonl");
  std::vector<json::object> all;
  for (std::string line; std::getline(in, line);) {
    all.push_back(parse_json(line).value().get_object());
  }
  return all;
}

void move_clock_to(ManualClock& clock, std::int64_t second) {
  clock.advance(std::chrono::seconds(second - to_epoch_s(clock.wall())));
}

// What came on `{prefix}/{operation}/…`, and that nothing came anywhere else.
Answers answers_on(const std::string& request_topic, const std::vector<Published>& published) {
  Answers answers;
  for (const Published& message : published) {
    REQUIRE(message.topic.starts_with(request_topic + "/"));
    const std::string last = message.topic.substr(request_topic.size() + 1);
    CHECK(answers.emplace(last, message.payload).second);
    CHECK(message.qos == broker::Qos::kAtLeastOnce);
    CHECK_FALSE(message.retain);
  }
  return answers;
}

TEST_CASE("Every shadow vector, by topic and from the API, with and without a cache") {
  const std::vector<json::object> all = all_vectors();
  REQUIRE(all.size() >= 136);
  const std::size_t worker_count = GENERATE(1U, 2U);
  const bool from_api = GENERATE(false, true);
  const bool cached = GENERATE(false, true);
  int number = 0;
  for (const json::object& vector : all) {
    INFO(vectors::text_of(vector.at("id")));
    ServiceOptions options;
    options.cache_bytes_max = cached ? options.cache_bytes_max : 0;
    ServiceFixture fixture(worker_count, options);
    const std::string thing = "thing-" + std::to_string(++number);
    const std::string shadow = vectors::shadow_name_of(vector);
    const std::string prefix = topic_prefix(thing, shadow);
    const auto by_topic =
        [&](std::string_view operation, std::string_view payload, std::int64_t now_s) {
          move_clock_to(fixture.clock, now_s);
          const std::string topic = prefix + "/" + std::string(operation);
          fixture.publish(topic, payload);
          fixture.settle();
          if (!cached) {  // the last one used always stays
            static_cast<void>(fixture.get(ServiceFixture::classic("another")));
          }
          return answers_on(topic, fixture.take());
        };
    const auto by_api = [&](std::string_view operation, std::string_view payload, std::int64_t now_s
                        ) {
      move_clock_to(fixture.clock, now_s);
      if (operation != "update") {
        return by_topic(operation, payload, now_s);  // the API sends no token with these
      }
      const Result<std::string> body =
          fixture.update({ThingName(thing), ShadowName(shadow)}, payload);
      Answers answers = answers_on(prefix + "/update", fixture.take());
      if (body) {
        CHECK(answers["accepted"] == *body);
      } else {
        CHECK(answers.empty());
        const document::ParsedUpdate parsed = document::parse_update(payload);
        answers["rejected"] = document::error_body(body.error(), parsed.client_token);
      }
      return answers;
    };
    const auto wrong = from_api ? vectors::replay_shadow(vector, thing, by_api)
                                : vectors::replay_shadow(vector, thing, by_topic);
    if (wrong) {
      INFO("expected " << wrong->expected << "\ngot " << wrong->got);
      CHECK(false);
    }
  }
}

}  // namespace
}  // namespace iotcore::shadow
