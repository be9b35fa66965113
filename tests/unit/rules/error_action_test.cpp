#include "proto/record/rules.pb.h"
#include "rules/error_payload.h"
#include "tests/unit/rules/engine_fixture.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>

namespace iotcore::rules {
namespace {

using broker::Qos;
using test::EngineFixture;
using test::next_is_puback;
using test::next_payload;

constexpr std::string_view kReport = R"({"republish": {"topic": "errors/${topic(2)}", "qos": 1}})";
// SQLite refuses a second row of the same key.
constexpr std::string_view kKeyed = R"x({"iotcore": {"type": "sqlite", "file": "k.db",
    "statement": "INSERT INTO keyed(id) VALUES (${id})"}})x";
constexpr std::string_view kMakeTable = R"x([{"iotcore": {"type": "sqlite", "file": "k.db",
    "statement": "CREATE TABLE keyed(id PRIMARY KEY)"}}])x";

void make_table(EngineFixture& fixture) {
  fixture.create("make", "SELECT 1 FROM 'setup'", kMakeTable);
  fixture.publish(fixture.connected("setup"), "setup", "{}");
  fixture.deliver();
}

json::object error_of(const std::string& payload) {
  INFO(payload);
  const auto parsed = parse_json(payload);
  REQUIRE(parsed);
  return parsed->as_object();
}

TEST_CASE("An action that fails for good makes one errorAction message with all that AWS sends") {
  EngineFixture fixture;
  make_table(fixture);
  fixture.create("keep", "SELECT id FROM 'in/+'", fmt::format("[{}]", kKeyed), kReport);
  auto& watcher = fixture.connected("w");
  fixture.subscribe(watcher, "errors/#");
  auto& device = fixture.connected("d1");
  for (const Qos qos : {Qos::kAtLeastOnce, Qos::kAtMostOnce}) {
    fixture.publish(device, "in/d1", R"({"id": 1})", qos);
    fixture.deliver();
    if (qos == Qos::kAtLeastOnce) {
      CHECK(next_payload(watcher).empty());
      CHECK(next_is_puback(device));
      continue;
    }
    const json::object error = error_of(next_payload(watcher));
    CHECK(error.at("ruleName") == "keep");
    CHECK(error.at("topic") == "in/d1");
    CHECK(error.at("clientId") == "d1");
    CHECK(error.at("base64OriginalPayload") == "eyJpZCI6IDF9");
    CHECK(error.contains("cloudwatchTraceId"));
    CHECK(error.contains("sourceIp"));
    const json::array& failures = error.at("failures").as_array();
    REQUIRE(failures.size() == 1);
    CHECK(failures[0].at("failedAction") == "SqliteAction");
    CHECK(failures[0].at("failedResource") == "k.db");
    CHECK(failures[0].at("errorMessage").as_string().find("UNIQUE") != json::string::npos);
  }
  CHECK(fixture.rows(store::Table::kOutbox, "m") == 0);
  CHECK(fixture.rows(store::Table::kOutbox, "s") == 0);
  CHECK(fixture.waiting() == 0);
}

TEST_CASE("Several actions of one rule fail into one errorAction, also over a crash") {
  EngineFixture fixture;
  make_table(fixture);
  const std::string actions = fmt::format(
      R"([{0}, {0}, {{"iotcore": {{"type": "file", "path": "ok.jsonl"}}}},
          {{"republish": {{"topic": "${{nothing}}"}}}}])",
      kKeyed
  );
  fixture.create("many", "SELECT id FROM 'in/+'", actions, kReport);
  auto& watcher = fixture.connected("w");
  fixture.subscribe(watcher, "errors/#");
  auto& device = fixture.connected("d1");
  // The first row goes in by the first action; the second action and the empty topic fail.
  fixture.publish(device, "in/d1", R"({"id": 7})", Qos::kAtLeastOnce);
  CHECK(next_is_puback(device));
  fixture.restart();
  fixture.deliver();
  const json::object error = error_of(next_payload(watcher));
  const json::array& failures = error.at("failures").as_array();
  REQUIRE(failures.size() == 2);
  CHECK(failures[0].at("failedAction") == "RepublishAction");
  CHECK(failures[1].at("failedAction") == "SqliteAction");
  CHECK(next_payload(watcher).empty());
  CHECK(fixture.rows(store::Table::kOutbox, "m") == 0);
  CHECK(fixture.rows(store::Table::kOutbox, "s") == 0);
  CHECK(fixture.waiting() == 0);
}

TEST_CASE("A message whose only action cannot be resolved goes to the errorAction at once") {
  EngineFixture fixture;
  fixture.create(
      "r", "SELECT * FROM 'in/+'", R"([{"republish": {"topic": "a/${nothing}/#"}}])", kReport
  );
  auto& watcher = fixture.connected("w");
  fixture.subscribe(watcher, "errors/#");
  auto& device = fixture.connected("d1");
  for (const Qos qos : {Qos::kAtMostOnce, Qos::kAtLeastOnce}) {
    fixture.publish(device, "in/d1", "{}", qos);
    fixture.deliver();
    const json::object error = error_of(next_payload(watcher));
    CHECK(error.at("failures").at(0).at("failedAction") == "RepublishAction");
  }
  CHECK(next_is_puback(device));
}

TEST_CASE("A record that fails without errorAction becomes a dead letter") {
  EngineFixture fixture;
  make_table(fixture);
  fixture.create("keep", "SELECT id FROM 'in/+'", fmt::format("[{}]", kKeyed));
  auto& device = fixture.connected("d1");
  fixture.publish(device, "in/d1", R"({"id": 1})", Qos::kAtLeastOnce);
  fixture.publish(device, "in/d1", R"({"id": 1})", Qos::kAtLeastOnce);
  fixture.deliver();
  const auto letters = fixture.store.scan(store::Table::kOutbox, "d", "", 10).value();
  REQUIRE(letters.size() == 1);
  record::DeadLetter letter;
  REQUIRE(letter.ParseFromString(letters[0].value));
  CHECK(letter.sink() == "sqlite k.db");
  CHECK(letter.record().rule() == "keep");
  CHECK(letter.failures(0).message().find("UNIQUE") != std::string::npos);
  fixture.restart();
  CHECK(fixture.rows(store::Table::kOutbox, "d") == 1);
  fixture.clock.advance(std::chrono::hours(24 * 15));
  fixture.restart();
  CHECK(fixture.rows(store::Table::kOutbox, "d") == 0);
}

TEST_CASE("An errorAction that fails too becomes a dead letter") {
  EngineFixture fixture;
  make_table(fixture);
  const std::string keyed = fmt::format("[{}]", kKeyed);
  fixture.create("keep", "SELECT id FROM 'in/+'", keyed, kKeyed);
  auto& device = fixture.connected("d1");
  fixture.publish(device, "in/d1", R"({"id": 1})", Qos::kAtLeastOnce);
  fixture.publish(device, "in/d1", R"({"id": 1})", Qos::kAtLeastOnce);
  fixture.deliver();
  CHECK(fixture.rows(store::Table::kOutbox, "d") == 1);
  CHECK(fixture.waiting() == 0);
  CHECK(
      fixture.metrics.to_text().find("iotcore_error_action_failure_total{rule=\"keep\"} 1") !=
      std::string::npos
  );
}

TEST_CASE("An errorAction for which its queue has no room is counted, nobody having waited for it") {
  EngineFixture fixture;
  constexpr std::string_view kUnreachable = R"({"iotcore": {"type": "file", "path": "err.jsonl"},
      "iotcoreDelivery": {"maxBytes": 1, "durable": "never"}})";
  fixture.create(
      "r",
      "SELECT * FROM 'in'",
      R"([{"republish": {"topic": "a/${nothing}/#"}}])",
      kUnreachable
  );
  auto& device = fixture.connected("d1");
  const auto count = [&](std::string_view line) {
    return fixture.metrics.to_text().find(line) != std::string::npos;
  };
  fixture.publish(device, "in", "{}", Qos::kAtMostOnce);
  fixture.publish(device, "in", "{}", Qos::kAtMostOnce);  // the first still waits
  CHECK(count("iotcore_error_action_failure_total{rule=\"r\"} 1"));
  CHECK(count("iotcore_sink_dropped_total{target=\"file err.jsonl\"} 1"));
  fixture.deliver();
  CHECK(count("iotcore_error_action_success_total{rule=\"r\"} 1"));
  CHECK(count("iotcore_error_action_failure_total{rule=\"r\"} 1"));
}

TEST_CASE("What failed in one request is told in AWS's batch form") {
  const auto failed = [](std::string_view topic, std::vector<std::string> reasons, auto batching) {
    FailedMessage made;
    made.message.set_topic(std::string(topic));
    made.message.set_trace_id("t");
    made.message.set_payload("x");
    for (std::string& reason : reasons) {
      record::ActionFailure& failure = made.failures.emplace_back();
      failure.set_action("HttpAction");
      failure.set_resource("u");
      failure.set_message(std::move(reason));
      failure.set_batching(batching);
    }
    return made;
  };
  const auto of = [&](const std::vector<FailedMessage>& all) {
    return error_of(error_payload("r", all));
  };
  using record::ActionFailure;
  const std::vector<FailedMessage> by_topic = {
      failed("a", {"400"}, ActionFailure::BY_TOPIC),
      failed("a", {"400", "other"}, ActionFailure::BY_TOPIC)};
  CHECK(
      of(by_topic) == parse_json(R"({"ruleName":"r","topic":"a","payloadsWithMetadata":[
      {"id":1,"cloudwatchTraceId":"t","clientId":"N/A","sourceIp":"","base64OriginalPayload":"eA=="},
      {"id":2,"cloudwatchTraceId":"t","clientId":"N/A","sourceIp":"","base64OriginalPayload":"eA=="}],
      "failures":[
      {"failedAction":"HttpAction","failedResource":"u","errorMessage":"400","affectedIds":[1,2]},
      {"failedAction":"HttpAction","failedResource":"u","errorMessage":"other","affectedIds":[2]}]})"
                      )
                          ->as_object()
  );
  const json::object across = of({failed("a", {"400"}, ActionFailure::ACROSS_TOPICS)});
  CHECK_FALSE(across.contains("topic"));
  CHECK(across.at("payloadsWithMetadata").at(0).at("topic") == "a");
  const json::object plain = of({failed("a", {"400"}, ActionFailure::NONE)});
  CHECK(plain.at("topic") == "a");
  CHECK(plain.at("clientId") == "N/A");
  CHECK_FALSE(plain.at("failures").at(0).as_object().contains("affectedIds"));
}

}  // namespace
}  // namespace iotcore::rules
