#include "rules/rule_file.h"

#include "rules/rule_test.h"

#include <catch2/catch.hpp>

#include <string>

namespace iotcore::rules {
namespace {

constexpr std::string_view kOverheat = R"(-- rules.d/overheat.sql
CREATE TARGET plantdb AS postgres(host = 'db.local', dbname = 'plant', user = 'iot', password = secret('plantdb'));

CREATE RULE overheat
  COMMENT 'Warn when a machine runs hot'
AS
SELECT *, topic(2) AS machine, -- which one
  timestamp() AS ts /* when */
FROM 'plant/+/telemetry'
WHERE temp > 80
DO republish(topic = 'alerts/${topic(2)}', qos = 1)
DO kafka(destinationArn = 'local', topic = 'alerts', key = '${topic(2)}', headers = {'a': 'b'},
         clientProperties = {'bootstrap.servers': 'k1:9093', 'security.protocol': 'SSL'})
DO postgres(target = 'plantdb', table = 'alerts') WITH (batchSize = 200, maxAge = '7d')
ON ERROR DO s3(bucketName = 'dead-letters', key = '${topic()}/${newuuid()}.json');

TEST overheat GIVEN TOPIC 'plant/m1/telemetry' PAYLOAD {"temp": 81}
  EXPECT {"temp": 81, "machine": "m1", "ts": ANY};
TEST overheat GIVEN TOPIC 'plant/m1/telemetry' PAYLOAD {"temp": 80} EXPECT NONE;
)";

std::string first_error(std::string_view text) {
  const ParsedRuleFile parsed = parse_rule_file(text);
  return parsed.errors.empty() ? "none" : sql::render(parsed.errors.front(), text, "f.sql");
}

TEST_CASE("A rule file becomes what CreateTopicRule would have been given") {
  const ParsedRuleFile parsed = parse_rule_file(kOverheat);
  REQUIRE(parsed.errors.empty());
  REQUIRE(parsed.file.rules.size() == 1);
  const RuleDefinition& rule = parsed.file.rules[0].definition;
  CHECK(rule.name == "overheat");
  CHECK(
      rule.sql ==
      "SELECT *, topic(2) AS machine, \n  timestamp() AS ts \nFROM 'plant/+/telemetry'\nWHERE temp "
      "> 80"
  );
  CHECK(
      to_json(to_topic_rule_payload(rule)).find("\"awsIotSqlVersion\":\"2016-03-23\"") !=
      std::string::npos
  );
  CHECK(rule.actions == *parse_json(R"([
    {"republish": {"topic": "alerts/${topic(2)}", "qos": 1}},
    {"kafka": {"destinationArn": "local", "topic": "alerts", "key": "${topic(2)}", "headers": [{"key": "a", "value": "b"}],
               "clientProperties": {"bootstrap.servers": "k1:9093", "security.protocol": "SSL"}}},
    {"iotcore": {"type": "postgres", "target": "plantdb", "table": "alerts"}, "iotcoreDelivery": {"batchSize": 200, "maxAge": "7d"}}
  ])"));
  CHECK(
      json::value(*rule.error_action) ==
      *parse_json(R"({"s3": {"bucketName": "dead-letters", "key": "${topic()}/${newuuid()}.json"}})"
      )
  );
  CHECK(action_kind(rule.actions[2].get_object()) == "postgres");
  CHECK(action_delivery(rule.actions[2].get_object())->size() == 2);
  REQUIRE(parsed.file.targets.size() == 1);
  CHECK(parsed.file.targets[0].options.at("password") == *parse_json(R"({"$secret": "plantdb"})"));
  CHECK(parsed.file.tests.size() == 2);
  CHECK(parsed.file.tests[0].any == std::vector<std::string>{"/ts"});
}

TEST_CASE("Places in the file are known for the parts of a rule") {
  const ParsedRuleFile parsed = parse_rule_file(kOverheat);
  REQUIRE(parsed.errors.empty());
  const FileRule& rule = parsed.file.rules[0];
  const auto at = [](std::uint32_t offset) { return kOverheat.substr(offset); };
  CHECK(at(rule.position_of("/actions/0/republish/qos")).starts_with("qos = 1"));
  CHECK(at(rule.position_of("/actions/1/kafka/clientProperties/security.protocol"))
            .starts_with("'SSL'"));
  CHECK(at(rule.position_of("/actions/1/kafka/nothing/of/that")).starts_with("kafka("));
  CHECK(at(rule.position_of("/actions/2/iotcore/table")).starts_with("table = "));
  CHECK(at(rule.position_of("/actions/2/iotcoreDelivery/maxAge")).starts_with("maxAge = "));
  CHECK(at(rule.position_of("/errorAction/s3/key")).starts_with("key = '${topic()}"));
  const std::string& sql = rule.definition.sql;
  for (const std::string_view part : {"SELECT", "machine", "timestamp", "FROM", "WHERE", "80"}) {
    CHECK(at(rule.position_in_sql(sql.find(part))).starts_with(part));
  }
}

TEST_CASE("Errors stand at their place in the file") {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"CREATE RULE r AS SELECT * FROM 'a' WHERE x >> 1;", "f.sql:1:45: unexpected >"},
      {"CREATE RULE r AS\n-- note\nSELECT a, /* x */ flor(1) AS b\nFROM 'a';",
       "f.sql:3:19: there is no function flor()"},
      {"CREATE RULE r AS SELECT * FROM 'a' DO republish(topic = 'it''s/${flor(1)}');",
       "f.sql:1:66: there is no function flor(); did you mean floor()?"},
      {"CREATE RULE r AS SELECT * FROM 'a' DO republish(topic 'x');",
       "f.sql:1:55: expected = behind topic"},
      {"CREATE RULE r AS SELECT * FROM 'a' DO republish(topic = 'x', topic = 'y');",
       "f.sql:1:62: topic is given twice"},
      {"CREATE RULE r AS SELECT * FROM 'a' DO republish(topic = secret('x'));",
       "f.sql:1:57: secret() stands in CREATE TARGET only"},
      {"CREATE RULE r AS SELECT * FROM 'a'",
       "f.sql:1:35: expected ; at the end of the statement, not the end of the file"},
      {"CREATE RULE r COMENT 'x' AS SELECT * FROM 'a';",
       "f.sql:1:15: expected COMMENT, VERSION, DISABLED, TAGS or AS SELECT …, not COMENT; did you "
       "mean COMMENT?"},
      {"CREATE RULE r VERSION '2017' AS SELECT * FROM 'a';", "f.sql:1:15: VERSION is"},
      {"CREATE RULES r AS SELECT * FROM 'a';",
       "f.sql:1:8: expected CREATE RULE or CREATE TARGET, not RULES"},
      {"DROP RULE r;", "f.sql:1:1: a rule file has CREATE RULE"},
      {"CREATE RULE r AS SELECT 'x FROM 'a';", "f.sql:1:35: this string is never closed"},
      {"CREATE RULE r-1 AS SELECT * FROM 'a';", "f.sql:1:14: expected COMMENT"},
      {"TEST r GIVEN TOPIC 'a' PAYLOAD {\"a\": } EXPECT NONE;", "f.sql:1:32: invalid JSON"},
      {"TEST r GIVEN TOPIC 'a' PAYLOAD BASE64 '!' EXPECT NONE;", "f.sql:1:39: not base64"},
      {"TEST r TOPIC 'a' EXPECT NONE;", "f.sql:1:8: expected GIVEN TOPIC"},
      {"CREATE RULE r AS SELECT * FROM 'a'; CREATE RULE r AS SELECT * FROM 'b';",
       "f.sql:1:37: rule r stands here twice"},
      {"/* open", "f.sql:1:1: this comment is never closed"},
  };
  for (const auto& [text, error] : cases) {
    CAPTURE(text);
    CHECK_THAT(first_error(text), Catch::Matchers::StartsWith(std::string(error)));
  }
}

TEST_CASE("One run shows the first error of every statement") {
  const std::string_view text =
      "CREATE RULE a AS SELECT FROM 'x';\n"
      "CREATE RULE b AS SELECT * FROM 'x' DO republish(topic = 'a;b');\n"
      "CREATE RULE c AS SELECT * FROM 'x' DO republish(topic = );\n";
  const ParsedRuleFile parsed = parse_rule_file(text);
  REQUIRE(parsed.errors.size() == 2);
  CHECK(sql::locate(text, parsed.errors[0].offset).line == 1);
  CHECK(sql::locate(text, parsed.errors[1].offset).line == 3);
  CHECK(parsed.file.rules.size() == 1);
}

TEST_CASE("The statement ends where DO, ON ERROR or ; cannot continue it") {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"SELECT do, on FROM 'a' WHERE do", " DO log()"},
      {"SELECT a.do AS do FROM 'a'", " DO log()"},
      {"SELECT * ", "DO log()"},
      {"SELECT a * do AS x FROM 'a' WHERE on = 1", " ON ERROR DO log()"},
      {"SELECT CASE a WHEN 1 THEN 2 END AS x FROM 'a'", " DO log() ON ERROR DO log()"},
      {"SELECT 'DO log()' AS x, (SELECT VALUE do FROM b AS do) AS y FROM 'a'", ""},
  };
  for (const auto& [sql, rest] : cases) {
    CAPTURE(sql);
    const std::string text = "CREATE RULE r AS " + std::string(sql) + std::string(rest) + ";";
    const ParsedRuleFile parsed = parse_rule_file(text);
    CHECK(first_error(text) == "none");
    REQUIRE(parsed.file.rules.size() == 1);
    std::string trimmed(sql);
    trimmed.erase(trimmed.find_last_not_of(' ') + 1);
    CHECK(parsed.file.rules[0].definition.sql == trimmed);
  }
}

TEST_CASE("TESTs of a file are run against its rules") {
  sql::NoExternalFunctions external;
  const ParsedRuleFile good = parse_rule_file(kOverheat);
  for (const TestOutcome& outcome : run_tests(good.file, external)) {
    CAPTURE(outcome.message);
    CHECK(outcome.passed);
  }
  const ParsedRuleFile parsed = parse_rule_file(R"(
    CREATE RULE r AS SELECT a, clientid() AS c, get_mqtt_property('content_type') AS t, get_user_properties('k') AS k FROM 'a/b' WHERE a > 1;
    CREATE RULE s AS SELECT get_secret('x', 'SecretString', 'r') AS a FROM 'a/#';
    TEST r GIVEN TOPIC 'a/b' CLIENT 'me' PROPERTIES {'content_type': 'x', 'user_properties': {'k': 'v'}} PAYLOAD {"a": 2.0} EXPECT {"c": "me", "a": 2, "t": "x", "k": ["v"]};
    TEST r GIVEN TOPIC 'a/b' PAYLOAD {"a": 2} EXPECT {"a": 3, "c": ANY};
    TEST r GIVEN TOPIC 'a/c' PAYLOAD {"a": 2} EXPECT NONE;
    TEST r GIVEN TOPIC '$aws/rules/r/x' PAYLOAD {"a": 2} EXPECT {"a": ANY, "c": ANY};
    TEST r GIVEN TOPIC 'a/b' PAYLOAD {"a": 1} EXPECT {"a": 1};
    TEST s GIVEN TOPIC 'a/b' PAYLOAD BASE64 'AP8=' EXPECT ERROR;
    TEST t GIVEN TOPIC 'a/b' EXPECT NONE;
  )");
  REQUIRE(parsed.errors.empty());
  const std::vector<TestOutcome> outcomes = run_tests(parsed.file, external);
  REQUIRE(outcomes.size() == 7);
  const bool passed[] = {true, false, true, true, false, true, false};
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    CAPTURE(i, outcomes[i].message);
    CHECK(outcomes[i].passed == passed[i]);
  }
  CHECK(outcomes[1].message == R"(expected {"a": 3, "c": ANY}, got {"a":2,"c":"test"})");
  CHECK(outcomes[4].message == R"(expected {"a": 1}, got nothing: WHERE is not true)");
}

TEST_CASE("Canonical text reads back as the same rule") {
  const std::string_view payloads[] = {
      R"({"sql":"SELECT * FROM 'a'","actions":[]})",
      R"({"sql":"SELECT 'it''s' AS x FROM 'a' WHERE do","description":"it's\nfine","actions":[{"republish":{"topic":"$$aws/x","qos":0,"roleArn":"arn:aws:iam::1:role/r","headers":{"contentType":"x","userProperties":[{"key":"k","value":"v"}]}}}],"ruleDisabled":true,"awsIotSqlVersion":"2015-10-08"})",
      R"({"sql":"SELECT\n\t*\nFROM \"a\"","actions":[{"http":{"url":"https://x/${a}","headers":[{"key":"k","value":"v"},{"key":"k","value":"w"}],"auth":{"sigv4":{"signingRegion":"r","serviceName":"s","roleArn":"a"}}}},{"iotcore":{"type":"file","path":"x","rotateBytes":1000000000000,"compress":false,"n":-2.5},"iotcoreDelivery":{"batchSize":1,"durable":true}}],"awsIotSqlVersion":"2016-03-23","errorAction":{"s3":{"bucketName":"b","key":"k"}}})",
      R"({"sql":"SELECT *","actions":[{"lambda":{"functionArn":"f"}},{"timestream":{"databaseName":"d","tableName":"t","dimensions":[{"name":"a","value":"${b}"}],"timestamp":{"value":"${ts}","unit":"SECONDS"}}}]})",
  };
  for (const std::string_view payload : payloads) {
    CAPTURE(payload);
    auto rule = from_topic_rule_payload("r_1", parse_json(payload)->as_object());
    REQUIRE(rule.has_value());
    rule->tags = {{"team", "o'neil"}};
    const std::string text = format_rule(*rule);
    CAPTURE(text);
    CHECK(first_error(text) == "none");
    const ParsedRuleFile parsed = parse_rule_file(text);
    REQUIRE(parsed.file.rules.size() == 1);
    CHECK(parsed.file.rules[0].definition == *rule);
    CHECK(format_rule(parsed.file.rules[0].definition) == text);
  }
}

TEST_CASE("Formatting a file keeps its comments and changes nothing the second time") {
  const std::string once = format_rule_file(kOverheat).value();
  CHECK(format_rule_file(once).value() == once);
  CHECK(once.starts_with("-- rules.d/overheat.sql\nCREATE TARGET plantdb"));
  CHECK(once.find("-- which one") != std::string::npos);
  const std::string tidy = format_rule_file(
                               "create rule r as select * from 'a' do log(level='info') ; -- "
                               "tail\ntest r given topic 'a' expect {\"x\":[ANY,1]};"
  )
                               .value();
  CHECK(
      tidy ==
      "CREATE RULE r\nAS\nselect * from 'a'\nDO log(level = 'info');\n\n-- tail\n"
      "TEST r GIVEN TOPIC 'a'\n  EXPECT {\"x\": [ANY, 1]};\n"
  );
  CHECK(format_rule_file(tidy).value() == tidy);
  CHECK_FALSE(format_rule_file("CREATE").has_value());
}

TEST_CASE("What a TopicRulePayload may not be is refused by name") {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {R"({"actions":[]})", "sql is missing"},
      {R"({"sql":1,"actions":[]})", "sql must be a string"},
      {R"({"sql":"x"})", "actions must be a list"},
      {R"({"sql":"x","actions":{}})", "actions must be a list"},
      {R"({"sql":"x","actions":[1]})", "actions[0] must be an object"},
      {R"({"sql":"x","actions":[{}]})", "actions[0] must have exactly one member"},
      {R"({"sql":"x","actions":[{"a":{},"b":{}}]})", "actions[0] must have exactly one member"},
      {R"({"sql":"x","actions":[{"a":1}]})", "actions[0].a must be an object"},
      {R"({"sql":"x","actions":[{"iotcore":{}}]})", "actions[0].iotcore needs a type"},
      {R"({"sql":"x","actions":[],"ruleDisabled":"yes"})", "ruleDisabled must be true or false"},
      {R"({"sql":"x","actions":[],"awsIotSqlVersion":"1"})", "awsIotSqlVersion 1 is not known"},
      {R"({"sql":"x","actions":[],"errorAction":[]})", "errorAction must be an object"},
      {R"({"sql":"x","actions":[],"ruleDisable":true})", "did you mean ruleDisabled?"},
  };
  for (const auto& [payload, message] : cases) {
    CAPTURE(payload);
    const auto rule = from_topic_rule_payload("r", parse_json(payload)->as_object());
    REQUIRE_FALSE(rule.has_value());
    CHECK(rule.error().code() == Errc::kInvalidRequest);
    CHECK_THAT(rule.error().message(), Catch::Matchers::Contains(std::string(message)));
  }
  RuleDefinition rule;
  rule.name = std::string(128, 'r');
  CHECK(validate(rule).has_value());
  rule.name += "r";
  CHECK_FALSE(validate(rule).has_value());
  rule.name = "a-b";
  CHECK_FALSE(validate(rule).has_value());
  rule.name = "r";
  rule.actions = json::array(10, json::object{{"log", json::object()}});
  CHECK(validate(rule).has_value());
  rule.actions.push_back(json::object{{"log", json::object()}});
  CHECK_FALSE(validate(rule).has_value());
  rule.actions.clear();
  rule.sql.assign(256U << 10, 'x');
  CHECK_FALSE(validate(rule).has_value());
}

}  // namespace
}  // namespace iotcore::rules
