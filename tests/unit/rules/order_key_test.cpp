// By what the records of each kind of action are kept in order, and how many of its sinks stand beside each other.
#include "rules/rule.h"
#include "rules/targets.h"
#include "tests/unit/rules/sql_support.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>

namespace iotcore::rules {
namespace {

constexpr std::string_view kPayload = R"({"id":"m1","line":7,"at":1})";

Targets& targets() {
  static Targets all;
  static const bool made = all.replace(
                                  "",
                                  {{"db", "postgres", {{"host", "x"}}, "dynamoDB:*", ""},
                                   {"k", "kafka", {{"bootstrap", "x:1"}}, "kinesis:*", ""},
                                   {"stock", "table", {{"hashKey", "id"}}, "stock-*", ""},
                                   {"r", "redis", {{"host", "x"}}, "", ""},
                                   {"m", "mqtt", {{"host", "x"}}, "", ""},
                                   {"n", "nats", {{"host", "x"}}, "", ""},
                                   {"post", "smtp", {{"host", "x"}, {"from", "a@b.c"}}, "", ""}}
  ).has_value();
  REQUIRE(made);
  return all;
}

std::shared_ptr<const Rule> compiled(std::string_view action, const Targets* known) {
  RuleDefinition definition;
  definition.name = "r";
  definition.sql = "SELECT * FROM 'a/#'";
  definition.version = "2016-03-23";
  definition.actions = parse_json(fmt::format("[{}]", action)).value().as_array();
  SinkEnvironment environment;
  environment.targets = known;
  auto rule = compile_rule(std::move(definition), environment, {});
  if (!rule) {
    FAIL(action << ": " << rule.error().message);
  }
  return *std::move(rule);
}

std::string order_key(std::string_view action) {
  const auto rule = compiled(action, &targets());
  sql::MessageView message;
  message.topic = "a/b";
  sql::ParsedPayload payload(kPayload);
  sql::NoExternalFunctions external;
  sql::CountingRandom random;
  sql::Evaluation evaluation(rule->program, message, payload, external, random);
  REQUIRE(evaluation.run().value());
  const Action& made = *rule->actions.front().action;
  const auto fields = made.resolve({evaluation, kPayload, true});
  if (!fields) {
    FAIL(action << ": " << fields.error().message());
  }
  return made.order_key(*fields, kPayload);
}

std::string own(std::string_view members) {
  return fmt::format(R"({{"iotcore": {{{}}}}})", members);
}

TEST_CASE("Records are kept in order by the key that their action has") {
  CHECK(order_key(R"({"kinesis": {"streamName": "s", "partitionKey": "${id}"}})") == "m1");
  CHECK(order_key(R"({"kinesis": {"streamName": "s"}})").empty());
  CHECK(
      order_key(R"({"dynamoDB": {"tableName": "t", "hashKeyField": "h", "hashKeyValue": "${id}"}})"
      ) == "m1"
  );
  CHECK(order_key(R"({"dynamoDBv2": {"putItem": {"tableName": "stock-1"}}})") == "\"m1\"");
  CHECK(order_key(R"({"dynamoDBv2": {"putItem": {"tableName": "other"}}})").empty());
  CHECK(order_key(R"({"s3": {"bucketName": "b", "key": "x/${id}"}})") == "x/m1");
  CHECK(
      order_key(
          R"({"cloudwatchAlarm": {"alarmName": "hot-${id}", "stateReason": "r", "stateValue": "OK"}})"
      ) == "hot-m1"
  );
  CHECK(
      order_key(
          R"({"location": {"trackerName": "t", "deviceId": "${id}", "latitude": "1", "longitude": "2"}})"
      ) == "m1"
  );
  CHECK(
      order_key(
          R"({"openSearch": {"endpoint": "https://x", "index": "i", "type": "t", "id": "${id}"}})"
      ) == "m1"
  );
  constexpr std::string_view kKafka =
      R"("destinationArn": "d", "topic": "t", "clientProperties": {"bootstrap.servers": "x:1"})";
  CHECK(order_key(fmt::format(R"({{"kafka": {{{}, "key": "${{id}}"}}}})", kKafka)) == "m1");
  CHECK(order_key(fmt::format(R"({{"kafka": {{{}, "partition": "${{line}}"}}}})", kKafka)) == "7");
  CHECK(order_key(fmt::format(R"({{"kafka": {{{}}}}})", kKafka)).empty());
  // What has no key goes by who published it.
  CHECK(order_key(R"({"sqs": {"queueUrl": "https://sqs.x/1/q"}})").empty());
  CHECK(order_key(R"({"sns": {"targetArn": "arn:aws:sns:r:1:t"}})").empty());
}

TEST_CASE("Records of our own actions are kept in order by key, topic or row") {
  CHECK(order_key(own(R"("type": "redis", "target": "r", "key": "k:${id}")")) == "k:m1");
  CHECK(order_key(own(R"("type": "mqtt", "target": "m", "topic": "t/${id}")")) == "t/m1");
  CHECK(order_key(own(R"("type": "nats", "target": "n", "subject": "s.${id}")")).empty());
  CHECK(
      order_key(own(R"("type": "smtp", "target": "post", "to": "a@b.c", "subject": "${id}")")) ==
      "a@b.c\nm1"
  );
  const auto row = [](std::string_view more) {
    return order_key(own(fmt::format(R"("type": "postgres", "target": "db", "table": "t"{})", more))
    );
  };
  CHECK(row("").empty());
  CHECK(row(R"(, "onConflict": "ignore")").empty());
  CHECK(row(R"(, "onConflict": ["id", "line"])") == "\"m1\"\n7\n");
  CHECK(row(R"(, "onConflict": ["id"], "columns": {"x": "y", "id": "a-${id}"})") == "a-m1\n");
  CHECK(row(R"(, "onConflict": ["id"], "columns": ["id", "at"])") == "\"m1\"\n");
}

TEST_CASE("What is built in takes one batch at a time where two would be in each other's way") {
  const auto concurrency = [](std::string_view action, const Targets* known) {
    return compiled(
               fmt::format(R"({{{}, "iotcoreDelivery": {{"concurrency": 4}}}})", action), known
    )
        ->actions.front()
        .delivery.concurrency;
  };
  constexpr std::string_view kKinesis = R"("kinesis": {"streamName": "s"})";
  CHECK(concurrency(kKinesis, nullptr) == 1);
  CHECK(concurrency(kKinesis, &targets()) == 4);
  for (const std::string_view action :
       {R"("cloudwatchMetric": {"metricNamespace": "n", "metricName": "m", "metricValue": "1", "metricUnit": "None"})",
        R"("cloudwatchAlarm": {"alarmName": "a", "stateReason": "r", "stateValue": "OK"})",
        R"("iotEvents": {"inputName": "i"})",
        R"("influxDB": {"destinationArn": "d", "databaseName": "d", "tableName": "t"})"}) {
    CAPTURE(action);
    CHECK(concurrency(action, nullptr) == 1);
  }
  CHECK(concurrency(R"("s3": {"bucketName": "b", "key": "k"})", nullptr) == 4);
}

}  // namespace
}  // namespace iotcore::rules
