// export(parse(text)) and parse(export(json)) over every shape of action that AWS has and some of ours, with texts that are hard to write.
#include "rules/action.h"
#include "rules/rule_file.h"
#include "rules/rule_import.h"

#include <catch2/catch.hpp>

#include <fstream>
#include <random>

namespace iotcore::rules {
namespace {

// Every member of every action, as botocore's model has them; the values are of no matter here.
json::object aws_shapes() {
  std::ifstream file(IOTCORE_SOURCE_DIR "/tests/data/botocore-requests.json");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const json::value all = parse_json(text).value();
  const json::array& requests =
      all.is_array() ? all.get_array() : all.get_object().begin()->value().get_array();
  for (const json::value& request : requests) {
    if (request.at("operation") == json::value("CreateTopicRule")) {
      return request.at("members").at("topicRulePayload").at("actions").at(0).as_object();
    }
  }
  return {};
}

// What is hard in a string, one in each.
class Texts {
 public:
  explicit Texts(std::uint32_t seed) : random_(seed) {}

  std::string next() {
    static const char* const kHard[] = {
        "plain",
        "",
        "it's",
        "''",
        "\"quoted\"",
        "back\\slash",
        "new\nline",
        "tab\there",
        "-- no comment",
        "/* nor this */",
        "; end",
        "DO log()",
        "${topic(2)}",
        "a ${'it''s'} b",
        "${get(*, \"}\")}",
        "$ {x}",
        "über €",
        "\xF0\x9F\x9A\x80",
        "$$aws/things/x",
        "SECRET('x')",
        "TRUE",
    };
    return kHard[random_() % std::size(kHard)];
  }

  json::value number() {
    static const json::value kNumbers[] = {0, -1, 42, 1'000'000'000'000, 2.5, -0.125, true, false};
    return kNumbers[random_() % std::size(kNumbers)];
  }

 private:
  std::mt19937 random_;
};

// The same shape with other texts.
json::value with_texts(const json::value& shape, Texts& texts) {
  if (shape.is_array()) {
    json::array out;
    for (const json::value& each : shape.get_array()) {
      out.push_back(with_texts(each, texts));
    }
    return out;
  }
  if (shape.is_object()) {
    json::object out;
    for (const auto& member : shape.get_object()) {
      const std::string_view name(member.key().data(), member.key().size());
      const bool is_name = name.find_first_of(" /:$") == std::string_view::npos;
      out[is_name ? std::string(name) : "bootstrap.servers"] = with_texts(member.value(), texts);
    }
    return out;
  }
  return shape.is_string() ? json::value(texts.next()) : texts.number();
}

RuleDefinition rule_of(json::value action, Texts& texts) {
  RuleDefinition rule;
  rule.name = "r";
  rule.sql = "SELECT * FROM 'a/+'";
  rule.version = "2016-03-23";
  rule.description = texts.next();
  if (const std::string tag = texts.next(); !tag.empty()) {
    rule.tags.emplace_back("k", tag);
  }
  json::object error = action.as_object();
  error.erase("iotcoreDelivery");
  rule.error_action = std::move(error);
  rule.actions.push_back(std::move(action));
  return rule;
}

void check_round_trip(const RuleDefinition& rule) {
  const std::string text = format_rule(rule);
  CAPTURE(text);
  const ParsedRuleFile parsed = parse_rule_file(text);
  for (const SourceError& error : parsed.errors) {
    FAIL_CHECK(sql::render(error, text));
  }
  REQUIRE(parsed.file.rules.size() == 1);
  CHECK(to_topic_rule_payload(parsed.file.rules[0].definition) == to_topic_rule_payload(rule));
  CHECK(parsed.file.rules[0].definition.tags == rule.tags);
  CHECK(format_rule(parsed.file.rules[0].definition) == text);
  CHECK(format_rule_file(text).value() == text);

  json::object request;
  request["ruleName"] = rule.name;
  request["topicRulePayload"] = to_topic_rule_payload(rule);
  const auto imported = import_rules(to_json(request), "");
  REQUIRE(imported.has_value());
  CHECK(to_topic_rule_payload(imported->at(0)) == to_topic_rule_payload(rule));
}

TEST_CASE("Every action of AWS's goes into a rule file and comes back the same") {
  const json::object shapes = aws_shapes();
  CHECK(shapes.size() >= 23);
  for (const auto& shape : shapes) {
    CAPTURE(std::string(shape.key()));
    CHECK(find_action_kind(std::string_view(shape.key().data(), shape.key().size()))->is_aws);
    for (std::uint32_t seed = 0; seed < 40; ++seed) {
      Texts texts(seed);
      check_round_trip(rule_of(json::object{{shape.key(), with_texts(shape.value(), texts)}}, texts)
      );
    }
  }
}

TEST_CASE("So do actions of ours, with delivery options, lists and maps in maps") {
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    Texts texts(seed);
    json::object members = {{"type", "postgres"}, {"target", texts.next()}, {"n", texts.number()}};
    members["list"] = json::array{texts.next(), texts.number(), json::array{texts.next()}};
    members["map"] = json::object{
        {texts.next(), texts.next()}, {"inner", json::object{{texts.next(), texts.number()}}}};
    members["nested"] = json::object{{"a", json::object{{"b", texts.next()}}}};
    check_round_trip(rule_of(
        json::object{
            {"iotcore", members},
            {"iotcoreDelivery", json::object{{"maxAge", "7d"}, {"batchSize", 200}}}},
        texts
    ));
  }
}

TEST_CASE("What CloudFormation and the CLI write becomes a rule") {
  const char* const kTemplate = R"({"Resources": {
    "Bucket": {"Type": "AWS::S3::Bucket"},
    "Hot": {"Type": "AWS::IoT::TopicRule", "Properties": {"RuleName": "hot_rule",
      "Tags": [{"Key": "team", "Value": "press"}],
      "TopicRulePayload": {"Sql": "SELECT * FROM 'a'", "AwsIotSqlVersion": "2016-03-23", "RuleDisabled": true,
        "Actions": [{"DynamoDBv2": {"PutItem": {"TableName": "t"}, "RoleArn": {"Fn::GetAtt": ["R", "Arn"]}}},
                    {"Kafka": {"DestinationArn": "d", "Topic": "t", "ClientProperties": {"bootstrap.servers": "k:9092"}}}],
        "ErrorAction": {"OpenSearch": {"Endpoint": "e", "Index": "i", "Type": "t", "Id": "x", "RoleArn": "r"}}}}}}})";
  const auto rules = import_rules(kTemplate, "");
  REQUIRE(rules.has_value());
  REQUIRE(rules->size() == 1);
  const RuleDefinition& rule = rules->at(0);
  CHECK(rule.name == "hot_rule");
  CHECK(rule.disabled);
  CHECK(rule.tags == std::vector<std::pair<std::string, std::string>>{{"team", "press"}});
  CHECK(
      to_json(rule.actions[0]) ==
      R"({"dynamoDBv2":{"putItem":{"tableName":"t"},"roleArn":"arn:aws:iam::000000000000:role/imported"}})"
  );
  CHECK(rule.actions[1].at("kafka").at("clientProperties").as_object().contains("bootstrap.servers")
  );
  CHECK(rule.error_action->contains("openSearch"));

  const std::pair<const char*, const char*> bad[] = {
      {R"([])", "not an object"},
      {R"({"sql": "SELECT * FROM 'a'", "actions": []})", "name is not in it"},
      {R"({"Resources": {}})", "no resource of type"},
      {R"({"Resources": {"A": {"Type": "AWS::IoT::TopicRule", "Properties": {"TopicRulePayload": {"Sql": {"Ref": "S"}, "Actions": []}}}}})",
       "resource A uses Ref"},
      {R"({"ruleName": "x", "topicRulePayload": {"actions": []}})", "sql is missing"},
  };
  for (const auto& [text, why] : bad) {
    const auto refused = import_rules(text, "");
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().message().find(why) != std::string::npos);
  }
  CHECK(import_rules(R"({"sql": "SELECT * FROM 'a'", "actions": []})", "n")->at(0).name == "n");
}

}  // namespace
}  // namespace iotcore::rules
