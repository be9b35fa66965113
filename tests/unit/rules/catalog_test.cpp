#include "rules/rule_check.h"
#include "rules/rule_folder.h"
#include "rules/rules_api.h"
#include "tests/unit/rules/engine_fixture.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <fstream>

namespace iotcore::rules {
namespace {

using broker::Qos;
namespace fs = std::filesystem;
using test::EngineFixture;
using test::next_payload;
using test::TempFolder;

constexpr std::string_view kOut = R"([{"republish": {"topic": "out"}}])";

api::CreateTopicRuleRequest create_request(
    const std::string& name, const std::string& sql, const std::string& action
) {
  api::CreateTopicRuleRequest request;
  request.set_rule_name(name);
  request.mutable_topic_rule_payload()->set_sql(sql);
  request.mutable_topic_rule_payload()->add_actions(action);
  return request;
}

TEST_CASE("A rule is shown as it was given") {
  EngineFixture fixture;
  auto request = create_request(
      "r1",
      "SELECT a FROM 'x/+' WHERE a > 1",
      R"({"republish":{"topic":"out","qos":1,"roleArn":"arn:aws:iam::1:role/r"}})"
  );
  request.mutable_topic_rule_payload()->set_description("why");
  request.mutable_topic_rule_payload()->set_error_action(R"({"republish":{"topic":"err"}})");
  request.set_tags("team=a%20b&x=");
  REQUIRE(create_topic_rule(*fixture.engine, request));
  const auto again = create_topic_rule(*fixture.engine, request);
  REQUIRE_FALSE(again);
  CHECK(again.error().code() == Errc::kAlreadyExists);

  fixture.restart();
  api::GetTopicRuleRequest get;
  get.set_rule_name("r1");
  const auto shown = get_topic_rule(*fixture.engine, get);
  REQUIRE(shown);
  CHECK(shown->rule_arn() == "arn:aws:iot:us-east-1:000000000000:rule/r1");
  CHECK(shown->rule().sql() == request.topic_rule_payload().sql());
  CHECK(shown->rule().actions(0) == request.topic_rule_payload().actions(0));
  CHECK(shown->rule().error_action() == request.topic_rule_payload().error_action());
  CHECK(shown->rule().description() == "why");
  CHECK(shown->rule().aws_iot_sql_version() == "2015-10-08");
  CHECK_FALSE(shown->rule().rule_disabled());
  CHECK(fixture.engine->catalog().get("r1")->definition.tags.size() == 2);
}

TEST_CASE("A rule that is not there is denied, as on AWS") {
  EngineFixture fixture;
  api::GetTopicRuleRequest get;
  get.set_rule_name("x");
  const auto shown = get_topic_rule(*fixture.engine, get);
  REQUIRE_FALSE(shown);
  CHECK(shown.error().code() == Errc::kUnauthorized);
  CHECK(shown.error().message() == "Access to topic rule 'x' was denied");
  api::DeleteTopicRuleRequest erase;
  erase.set_rule_name("x");
  CHECK(delete_topic_rule(*fixture.engine, erase).error().code() == Errc::kUnauthorized);
}

TEST_CASE("Of roles that are not listed, rules cannot be written, and those that are there run on"
) {
  EngineFixture fixture;
  const std::string from_x = "SELECT * FROM 'x'";
  const std::string listed =
      R"({"republish":{"topic":"out","roleArn":"arn:aws:iam::1:role/good"}})";
  const std::string other = R"({"republish":{"topic":"out","roleArn":"arn:aws:iam::1:role/bad"}})";
  REQUIRE(create_topic_rule(*fixture.engine, create_request("old", from_x, other)));
  fixture.roles = {"arn:aws:iam::1:role/better", "arn:aws:iam::1:role/good"};
  fixture.restart();

  CHECK(fixture.engine->catalog().get("old")->error.empty());
  CHECK(create_topic_rule(*fixture.engine, create_request("new", from_x, listed)));
  CHECK(create_topic_rule(
      *fixture.engine, create_request("none", from_x, R"({"republish":{"topic":"out"}})")
  ));
  const auto refused = create_topic_rule(*fixture.engine, create_request("r", from_x, other));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == Errc::kInvalidRequest);
  CHECK(
      refused.error().message() ==
      "actions/0/republish/roleArn: action 'republish' may not have the role "
      "'arn:aws:iam::1:role/bad': rules.roles does not list it"
  );
  auto as_error_action = create_request("r", from_x, listed);
  as_error_action.mutable_topic_rule_payload()->set_error_action(other);
  CHECK(create_topic_rule(*fixture.engine, as_error_action)
            .error()
            .message()
            .starts_with("errorAction/republish/roleArn"));
  const auto to_aws = create_request(
      "r",
      from_x,
      R"({"http":{"url":"https://203.0.113.1/","auth":{"sigv4":{"signingRegion":"eu-west-1","serviceName":"s","roleArn":"bad"}}}})"
  );
  CHECK(create_topic_rule(*fixture.engine, to_aws)
            .error()
            .message()
            .starts_with("actions/0/http/auth/sigv4/roleArn"));

  const std::string text =
      "CREATE RULE r AS SELECT * FROM 'x'\nDO republish(topic = 'out', roleArn = 'bad');";
  const CheckedFile checked = check_text(text, fixture.engine->environment(), "r.sql");
  REQUIRE(checked.errors.size() == 1);
  CHECK(sql::locate(text, checked.errors[0].offset).line == 2);
}

TEST_CASE("What is wrong with a rule is said with its place") {
  EngineFixture fixture;
  const auto error = [&](const std::string& sql, const std::string& action) {
    return create_topic_rule(*fixture.engine, create_request("r", sql, action)).error();
  };
  const std::string good = "SELECT * FROM 'x'";
  CHECK(error("SELEC", R"({"republish":{"topic":"a"}})").code() == Errc::kSqlParse);
  CHECK(error("SELECT * FROM 'a/#/b'", R"({"republish":{"topic":"a"}})").code() == Errc::kSqlParse);
  CHECK(
      error(good, R"({"republish":{"topc":"a"}})").message() ==
      "actions/0/republish: member topic is missing"
  );
  CHECK(
      error(good, R"({"republish":{"topic":"a", "qso": 1}})").message() ==
      "actions/0/republish/qso: unknown member; did you mean qos?"
  );
  CHECK(
      error(good, R"({"republish":{"topic":"a", "qos": 2}})").message() ==
      "actions/0/republish/qos: must be 0 or 1"
  );
  CHECK(
      error(good, R"({"republish":{"topic":"a/${"}})").message().find("never closed") !=
      std::string::npos
  );
  const Error unsupported = error(good, R"({"iotcore":{"type":"teleport"}})");
  CHECK(unsupported.code() == Errc::kInvalidRequest);
  CHECK(unsupported.message().find("actions/0/iotcore: action 'teleport' is not supported") == 0);
  CHECK(
      error(good, R"({"iotcore":{"type":"file","path":"../x"}})").message() ==
      "actions/0/iotcore/path: '../x' leads out of the data folder's sinks/"
  );
  CHECK(
      error(good, R"({"iotcore":{"type":"sqlite","file":"/etc/x","table":"t"}})")
          .message()
          .find("rules.allow_absolute_paths") != std::string::npos
  );
  for (const char* timeout : {R"("999ms")", R"("301s")", R"("7d")", "0", "300001"}) {
    CHECK(
        error(
            good,
            std::string(R"({"iotcore":{"type":"webhook","url":"https://a.com/","timeout":)") +
                timeout + "}}"
        )
            .message() == "actions/0/iotcore/timeout: must be between 1s and 300s"
    );
  }
  CHECK(
      error(good, R"({"iotcore":{"type":"sqlite","file":"x"}})").message() ==
      "actions/0/iotcore: needs one of table and statement"
  );
  // null: the member is not there.
  CHECK(
      error(good, R"({"iotcore":{"type":"sqlite","file":"x","table":null,"statement":null}})")
          .message() == "actions/0/iotcore: needs one of table and statement"
  );
  const auto with_nulls = create_topic_rule(
      *fixture.engine,
      create_request(
          "nulls",
          good,
          R"({"dynamoDB":{"tableName":"t","hashKeyField":"h","hashKeyValue":"v","roleArn":"arn:aws:iam::1:role/r",
              "rangeKeyField":null,"rangeKeyValue":null},"iotcoreDelivery":{"maxAge":null}})"
      )
  );
  INFO((with_nulls ? "" : with_nulls.error().message()));
  CHECK(with_nulls);
  const std::string in_quotes =
      R"x({"iotcore":{"type":"sqlite","file":"x","statement":"INSERT INTO a VALUES('${b}')"}})x";
  CHECK(error(good, in_quotes).message().find("stands in quotes") != std::string::npos);
  CHECK(error(good, R"({"iotcore":{"type":"log"},"iotcoreDelivery":{"maxAge":"7x"}})")
            .message()
            .starts_with("actions/0/iotcoreDelivery/maxAge"));
  CHECK(
      error(good, R"({"iotcore":{"type":"log","level":"inf"}})")
          .message()
          .find("did you mean 'info'?") != std::string::npos
  );
}

TEST_CASE("Changes of rules hold for the next message") {
  EngineFixture fixture;
  auto& watcher = fixture.connected("w");
  fixture.subscribe(watcher, "out/#");
  auto& device = fixture.connected("d");
  RuleCatalog& catalog = fixture.engine->catalog();
  const auto came = [&] {
    fixture.publish(device, "in/1", R"({"a": 1})");
    return next_payload(watcher);
  };
  const auto rule = [](std::string_view sql) { return EngineFixture::rule("r", sql, kOut); };
  CHECK(came().empty());
  REQUIRE(catalog.create(rule("SELECT 1 AS v FROM 'in/+'")));
  CHECK(came() == R"({"v":1})");
  REQUIRE(catalog.replace(rule("SELECT 2 AS v FROM 'in/+'")));
  CHECK(came() == R"({"v":2})");
  REQUIRE(catalog.replace(rule("SELECT 3 AS v FROM '#'  WHERE topic(1) = 'in'")));
  CHECK(came() == R"({"v":3})");
  CHECK(next_payload(watcher).empty());
  REQUIRE(catalog.set_enabled("r", false));
  CHECK(came().empty());
  fixture.restart();
  CHECK(came().empty());
  REQUIRE(fixture.engine->catalog().set_enabled("r", true));
  CHECK(came() == R"({"v":3})");
  fixture.restart();
  CHECK(came() == R"({"v":3})");
  REQUIRE(fixture.engine->catalog().erase("r"));
  CHECK(came().empty());
  fixture.restart();
  CHECK(came().empty());
}

TEST_CASE("Rules of one filter share it, and each has its own say") {
  EngineFixture fixture;
  auto& watcher = fixture.connected("w");
  fixture.subscribe(watcher, "out/#");
  for (int i = 0; i < 5; ++i) {
    fixture.create(
        fmt::format("r{}", i),
        fmt::format("SELECT {} AS i FROM 'in' WHERE n >= {}", i, i),
        fmt::format(R"([{{"republish": {{"topic": "out/{}"}}}}])", i)
    );
  }
  REQUIRE(fixture.engine->catalog().erase("r1"));
  fixture.publish(fixture.connected("d"), "in", R"({"n": 3})");
  CHECK(next_payload(watcher) == R"({"i":0})");
  CHECK(next_payload(watcher) == R"({"i":2})");
  CHECK(next_payload(watcher) == R"({"i":3})");
  CHECK(next_payload(watcher).empty());
  const std::string metrics = fixture.metrics.to_text();
  CHECK(metrics.find("iotcore_rule_matched_total{rule=\"r4\"} 1") != std::string::npos);
  CHECK(metrics.find("iotcore_rule_fired_total{rule=\"r4\"} 0") != std::string::npos);
}

TEST_CASE("Basic Ingest reaches the named rule alone") {
  EngineFixture fixture;
  auto& watcher = fixture.connected("w");
  fixture.subscribe(watcher, "out/#");
  fixture.create("ingest", "SELECT topic() AS t, topic(2) AS second FROM 'elsewhere'", kOut);
  fixture.create("nofrom", "SELECT 7 AS n", kOut);
  auto& device = fixture.connected("d");
  fixture.publish(device, "$aws/rules/ingest/plant/m1", "{}", Qos::kAtLeastOnce);
  CHECK(next_payload(watcher) == R"({"t":"plant/m1","second":"m1"})");
  fixture.publish(device, "$aws/rules/nofrom", "{}");
  CHECK(next_payload(watcher) == R"({"n":7})");
  fixture.publish(device, "$aws/rules/Ingest/x", "{}", Qos::kAtLeastOnce, false, 8);
  CHECK(next_payload(watcher).empty());
  CHECK(test::next_is_puback(device));
  CHECK(test::next_is_puback(device));
}

TEST_CASE("Rules are listed by name, in pages, by topic and state") {
  EngineFixture fixture;
  for (int i = 0; i < 7; ++i) {
    fixture.create(fmt::format("r{}", i), fmt::format("SELECT * FROM 'a/{}/+'", i % 2), kOut);
  }
  REQUIRE(fixture.engine->catalog().set_enabled("r2", false));
  const auto list = [&](const std::function<void(api::ListTopicRulesRequest&)>& fill) {
    std::string names;
    api::ListTopicRulesRequest request;
    fill(request);
    for (;;) {
      const auto page = list_topic_rules(*fixture.engine, request).value();
      for (const auto& rule : page.rules()) {
        names += rule.rule_name();
      }
      if (!page.has_next_token()) {
        return names;
      }
      names += '|';
      request.set_next_token(page.next_token());
    }
  };
  CHECK(list([](auto&) {}) == "r0r1r2r3r4r5r6");
  CHECK(list([](auto& request) { request.set_max_results(3); }) == "r0r1r2|r3r4r5|r6");
  CHECK(list([](auto& request) { request.set_max_results(7); }) == "r0r1r2r3r4r5r6");
  CHECK(list([](auto& request) { request.set_topic("a/1/x"); }) == "r1r3r5");
  CHECK(list([](auto& request) { request.set_rule_disabled(true); }) == "r2");
  const auto first = list_topic_rules(*fixture.engine, {}).value().rules(0);
  CHECK(first.topic_pattern() == "a/0/+");
  CHECK(first.rule_arn() == "arn:aws:iot:us-east-1:000000000000:rule/r0");
  api::ListTopicRulesRequest bad;
  bad.set_next_token("%%%");
  CHECK(list_topic_rules(*fixture.engine, bad).error().code() == Errc::kInvalidRequest);
}

// rules.d with the engine's rules.
struct FolderFixture : EngineFixture {
  FolderFixture() { open(); }

  void open() {
    rule_folder = std::make_unique<RuleFolder>(
        folder.path() / "rules.d", engine->catalog(), SinkEnvironment()
    );
  }

  void write(const std::string& name, const std::string& text) {
    fs::create_directories(folder.path() / "rules.d");
    std::ofstream(folder.path() / "rules.d" / name) << text;
    // Two writes within one tick of the file system's clock.
    fs::last_write_time(
        folder.path() / "rules.d" / name,
        fs::file_time_type::clock::now() + std::chrono::seconds(++writes)
    );
    rule_folder->scan();
  }

  void remove(const std::string& name) {
    fs::remove(folder.path() / "rules.d" / name);
    rule_folder->scan();
  }

  std::string names() const {
    std::string out;
    engine->catalog().list("", [&out](const CatalogRule& rule) {
      out += rule.definition.name + (rule.definition.disabled ? "- " : " ");
      return true;
    });
    return out;
  }

  std::string errors(std::size_t file = 0) const { return rule_folder->files().at(file).errors; }

  std::unique_ptr<RuleFolder> rule_folder;
  int writes = 0;
};

std::string file_rule(const std::string& name, const std::string& sql = "SELECT * FROM 'in'") {
  return "CREATE RULE " + name + " AS " + sql + " DO republish(topic = 'out');\n";
}

TEST_CASE("A rule file that is good is applied whole, and one that is not leaves things as they are"
) {
  FolderFixture fixture;
  fixture.write("a.sql", file_rule("one") + file_rule("two"));
  CHECK(fixture.names() == "one two ");
  CHECK(fixture.errors().empty());
  fixture.write(
      "a.sql",
      file_rule("one", "SELECT 5 AS n FROM 'in'") + file_rule("three") +
          "CREATE RULE bad AS SELECT;"
  );
  CHECK(fixture.names() == "one two ");
  CHECK(fixture.errors().starts_with("a.sql:3:"));
  CHECK(fixture.errors().find('^') != std::string::npos);
  fixture.write("a.sql", file_rule("three"));
  CHECK(fixture.names() == "three ");
  fixture.remove("a.sql");
  CHECK(fixture.names().empty());
}

TEST_CASE("Rules of a file belong to it, and to nobody else") {
  FolderFixture fixture;
  fixture.create("mine", "SELECT * FROM 'in'", kOut);
  fixture.write("a.sql", file_rule("one") + file_rule("mine", "SELECT 9 AS n FROM 'in'"));
  RuleCatalog& catalog = fixture.engine->catalog();
  const Status erased = catalog.erase("one");
  REQUIRE_FALSE(erased);
  CHECK(erased.error().code() == Errc::kConflictingResourceUpdate);
  CHECK(erased.error().message().find("'a.sql'") != std::string::npos);
  CHECK_FALSE(catalog.replace(EngineFixture::rule("one", "SELECT 1 AS x FROM 'in'", kOut)));

  // Switching off is allowed, and an unchanged file does not undo it.
  REQUIRE(catalog.set_enabled("one", false));
  fixture.restart();
  fixture.open();
  fixture.rule_folder->scan();
  CHECK(fixture.names() == "mine one- ");
  fixture.write("a.sql", file_rule("one", "SELECT 2 AS x FROM 'in'") + file_rule("mine"));
  CHECK(fixture.names() == "mine one ");

  fixture.write("b.sql", file_rule("one"));
  CHECK(fixture.errors(1) == "b.sql: rule 'one' is in 'a.sql' and in 'b.sql'");
  fixture.remove("a.sql");
  CHECK(
      fixture.names() == "mine one "
  );  // the file took over `mine`, but did not create it; `one` is b.sql's now
  CHECK(fixture.errors().empty());
  CHECK(fixture.engine->catalog().get("mine")->file.empty());
  CHECK(fixture.engine->catalog().get("one")->file == "b.sql");
  CHECK(fixture.engine->catalog().erase("mine"));
}

TEST_CASE("What the API has deleted of a file stays so until the store has taken its return") {
  FolderFixture fixture;
  fixture.files_win = false;
  const auto start_anew = [&] {
    fixture.rule_folder.reset();
    fixture.restart();
    fixture.open();
    fixture.rule_folder->scan();
  };
  start_anew();
  fixture.write("a.sql", file_rule("one") + file_rule("two"));
  const Error full(Errc::kStoreFull, "no space");

  fixture.fault->break_writes(full);
  CHECK_FALSE(fixture.engine->catalog().erase("one"));
  CHECK(fixture.names() == "one two ");
  fixture.fault->mend();
  REQUIRE(fixture.engine->catalog().erase("one"));
  start_anew();
  CHECK(fixture.names() == "two ");

  // The file has it again, in another form, and the store does not take it.
  const std::string back = file_rule("one", "SELECT 2 AS x FROM 'in'") + file_rule("two");
  fixture.fault->break_writes(full);
  fixture.write("a.sql", back);
  CHECK(fixture.names() == "two ");
  CHECK_FALSE(fixture.engine->catalog().wipe());
  fixture.fault->mend();
  // Nothing was forgotten by what failed.
  fixture.write("a.sql", file_rule("one") + file_rule("two"));
  CHECK(fixture.names() == "two ");
  fixture.write("a.sql", back);
  CHECK(fixture.names() == "one two ");
  start_anew();
  CHECK(fixture.names() == "one two ");

  REQUIRE(fixture.engine->catalog().erase("one"));
  REQUIRE(fixture.engine->catalog().wipe());
  fixture.write("a.sql", back);
  CHECK(fixture.names() == "one two ");
}

TEST_CASE("A file that goes while the server is down takes its rules along") {
  FolderFixture fixture;
  fixture.write("a.sql", file_rule("one"));
  fs::remove(fixture.folder.path() / "rules.d/a.sql");
  fixture.restart();
  fixture.open();
  CHECK(fixture.names() == "one ");
  fixture.rule_folder->scan();
  CHECK(fixture.names().empty());
}

TEST_CASE("Checking shows each error at its place, and failing tests") {
  const TempFolder folder;
  const auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream(folder.path() / name) << text;
    return folder.path() / name;
  };
  const SinkEnvironment environment;
  const fs::path good = write(
      "good.sql",
      file_rule("hot", "SELECT t FROM 'in' WHERE t > 70") +
          "TEST hot GIVEN TOPIC 'in' PAYLOAD {\"t\": 71} EXPECT {\"t\": 71};\n"
  );
  const std::vector<fs::path> good_paths = {good};
  const CheckReport fine = check_files(good_paths, environment);
  CHECK(fine.ok);
  CHECK(fine.text == good.string() + ": 1 rule, 1 test passed\n");

  const fs::path bad = write(
      "bad.sql",
      "CREATE RULE a AS SELECT * FROM 'in'\n  DO republish(topic = 'x',\n     qso = 1);\n"
      "CREATE RULE b AS SELECT * FROM 'in' DO teleport(to = 'x');\n" +
          file_rule("hot")
  );
  const std::vector<fs::path> paths = {good, bad};
  const CheckReport report = check_files(paths, environment);
  CHECK_FALSE(report.ok);
  INFO(report.text);
  CHECK(report.text.find("bad.sql:3:") != std::string::npos);
  CHECK(report.text.find("did you mean qos?") != std::string::npos);
  CHECK(report.text.find("bad.sql:4:") != std::string::npos);
  CHECK(report.text.find("action 'teleport' is not supported") != std::string::npos);
  CHECK(report.text.find("rule 'hot' is in") != std::string::npos);

  const fs::path failing = write(
      "failing.sql", file_rule("a") + "TEST a GIVEN TOPIC 'in' PAYLOAD {\"t\": 1} EXPECT NONE;\n"
  );
  const std::vector<fs::path> failing_paths = {failing};
  CHECK(check_files(failing_paths, environment).text.find("failing.sql:2:") != std::string::npos);
  CHECK_FALSE(test_file(failing, std::nullopt, environment).ok);
  CHECK(test_file(good, std::nullopt, environment).text.starts_with("ok     hot"));

  const CheckReport tried = test_file(good, TestMessage{"in", R"({"t": 99})", "c"}, environment);
  CHECK(tried.text == "hot: {\"t\":99}\n  would run republish out\n");

  const fs::path target = folder.path() / "rules.d";
  const CheckReport refused = apply_files(paths, target, environment);
  CHECK_FALSE(refused.ok);
  CHECK_FALSE(fs::exists(target));
  CHECK(apply_files(good_paths, target, environment).ok);
  CHECK(fs::exists(target / "good.sql"));
  CHECK(apply_files(good_paths, target, environment).ok);
}

}  // namespace
}  // namespace iotcore::rules
