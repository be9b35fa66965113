// Targets that come, change and go, and what becomes of the rules and records that need them.
#include "rules/rule_check.h"
#include "tests/unit/rules/engine_fixture.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>

namespace iotcore::rules {
namespace {

using namespace std::chrono_literals;
using broker::Qos;
using test::EngineFixture;
using test::next_is_puback;

// Nobody listens there.
constexpr const char* kDatabase =
    "CREATE TARGET plantdb AS postgres(host = '127.0.0.1', port = 1, dbname = 'p', user = 'u');";
constexpr const char* kRule =
    "CREATE RULE keep AS SELECT v FROM 'in' DO postgres(target = 'plantdb', table = 'readings');";

struct Files : EngineFixture {
  // As RuleFolder does it: what is wrong, or nothing.
  std::string apply(const std::string& name, const std::string& text) {
    CheckedFile checked = check_text(text, engine->environment(), name);
    if (!checked.errors.empty()) {
      return checked.report(name);
    }
    FileChange change{name, {}, std::move(checked.targets)};
    for (FileRule& rule : checked.file.rules) {
      change.rules.push_back(std::move(rule.definition));
    }
    const Status applied = engine->catalog().apply_file(change);
    return applied ? "" : applied.error().message();
  }

  bool has_sink(std::string_view id) {
    const std::vector<SinkQueue::State> all = engine->sinks();
    return std::ranges::any_of(all, [id](const SinkQueue::State& sink) { return sink.sink == id; });
  }

  std::string error_of(const char* rule) { return engine->catalog().get(rule)->error; }
};

TEST_CASE("A rule finds its target in its own file, in another, and after a restart") {
  Files fixture;
  CHECK(fixture.apply("rule.sql", kRule).starts_with("rule.sql:1:52: there is no target 'plantdb'")
  );
  CHECK(fixture.apply("target.sql", kDatabase).empty());
  CHECK(fixture.apply("rule.sql", kRule).empty());
  CHECK(fixture.has_sink("postgres plantdb"));
  CHECK(
      fixture.apply("both.sql", std::string(kDatabase) + kRule).find("is also in target.sql") !=
      std::string::npos
  );
  CHECK(
      fixture
          .apply(
              "near.sql",
              "CREATE RULE x AS SELECT * FROM 'a' DO postgres(target = 'plantbd', table = 't');"
          )
          .find("did you mean 'plantdb'?") != std::string::npos
  );
  CHECK(
      fixture
          .apply(
              "kind.sql",
              "CREATE RULE x AS SELECT * FROM 'a' DO redis(target = 'plantdb', command = 'SET', "
              "key = 'k');"
          )
          .find("of kind postgres, not redis") != std::string::npos
  );
  CHECK(
      fixture.apply("option.sql", "CREATE TARGET y AS postgres(hots = 'a');")
          .find("option.sql:1:") == 0
  );
  CHECK(
      fixture.apply("unknown.sql", "CREATE TARGET y AS postgers(host = 'a');")
          .find("did you mean postgres?") != std::string::npos
  );
  fixture.restart();
  CHECK(fixture.error_of("keep").empty());
  CHECK(fixture.has_sink("postgres plantdb"));
  CHECK(fixture.engine->catalog().files() == std::vector<std::string>{"rule.sql", "target.sql"});
}

TEST_CASE("A target that goes stops its rules and fails what waits for it; back again, they run") {
  Files fixture;
  fixture.apply("target.sql", kDatabase);
  fixture.apply("rule.sql", kRule);
  fixture.engine->catalog().files_read();
  auto& device = fixture.connected("d");
  fixture.publish(device, "in", R"({"v": 1})", Qos::kAtLeastOnce);
  CHECK(next_is_puback(device));
  fixture.deliver();
  CHECK(fixture.waiting() == 1);

  CHECK(fixture.apply("target.sql", "").empty());
  CHECK(fixture.error_of("keep").find("there is no target 'plantdb'") != std::string::npos);
  fixture.publish(device, "in", R"({"v": 2})", Qos::kAtLeastOnce);
  CHECK(next_is_puback(device));
  fixture.pass(2min);
  CHECK(fixture.waiting() == 0);
  const auto letters = fixture.engine->dead_letters().list("keep", "", 10).value();
  REQUIRE(letters.size() == 1);
  CHECK(letters[0].content.failures(0).message() == "there is no target 'plantdb'");

  CHECK(fixture.apply("target.sql", kDatabase).empty());
  CHECK(fixture.error_of("keep").empty());
  fixture.publish(device, "in", R"({"v": 3})", Qos::kAtLeastOnce);
  CHECK(next_is_puback(device));
  CHECK(fixture.waiting() == 1);
  CHECK(fixture.engine->retry_dead_letters({}).value() == 1U);
  CHECK(fixture.waiting() == 2);
}

TEST_CASE(
    "What waits for a target that is not there after a restart waits until the files were read"
) {
  Files fixture;
  fixture.apply("target.sql", kDatabase);
  fixture.apply("rule.sql", kRule);
  auto& device = fixture.connected("d");
  fixture.publish(device, "in", R"({"v": 1})", Qos::kAtLeastOnce);
  CHECK(next_is_puback(device));
  store::Batch batch;
  batch.erase_range(store::Table::kRules, "t", "u");
  REQUIRE(fixture.store.commit_wait(std::move(batch)));
  fixture.restart();
  fixture.pass(5min);
  CHECK(fixture.waiting() == 1);
  CHECK_FALSE(fixture.error_of("keep").empty());
  fixture.engine->catalog().files_read();
  fixture.pass(1min);
  CHECK(fixture.waiting() == 0);
  CHECK(fixture.engine->dead_letters().list("keep", "", 10)->size() == 1);
}

TEST_CASE("Rules of AWS's actions are bound anew when targets that match their names come and go") {
  Files fixture;
  const auto s3 = [](const char* bucket) {
    return fmt::format(R"([{{"s3": {{"bucketName": "{}", "key": "k", "roleArn": "r"}}}}])", bucket);
  };
  fixture.create("raw", "SELECT * FROM 'in'", s3("raw-1"));
  fixture.create("any", "SELECT * FROM 'in'", s3("${topic()}"));
  fixture.create("other", "SELECT * FROM 'in'", s3("done"));
  CHECK(fixture.has_sink("s3 "));
  CHECK_FALSE(fixture.has_sink("s3 lake"));
  CHECK(fixture
            .apply(
                "lake.sql",
                "CREATE TARGET lake AS s3(match = 'raw-*', endpoint = 'http://127.0.0.1:1', "
                "accessKey = 'a', secretKey = 's');"
            )
            .empty());
  CHECK(fixture.has_sink("s3 lake"));
  CHECK(fixture.has_sink("s3 *"));
  auto& device = fixture.connected("d");
  fixture.publish(device, "in", R"({"v": 1})", Qos::kAtLeastOnce);
  CHECK(next_is_puback(device));
  const auto waiting_for = [&](std::string_view sink) {
    for (const SinkQueue::State& state : fixture.engine->sinks()) {
      if (state.sink == sink) {
        return state.records;
      }
    }
    return std::uint64_t{99};
  };
  CHECK(waiting_for("s3 lake") == 1);
  CHECK(waiting_for("s3 *") == 1);
  CHECK(waiting_for("s3 ") == 1);
  fixture.engine->catalog().files_read();
  CHECK(fixture.apply("lake.sql", "").empty());
  fixture.pass(1min);
  CHECK(fixture.engine->dead_letters().list("raw", "", 10)->size() == 1);
  CHECK(std::filesystem::exists(fixture.folder.path() / "sinks/objects/done/k"));
  CHECK(std::filesystem::exists(fixture.folder.path() / "sinks/objects/in/k"));
}

TEST_CASE("A republish that a target takes to another broker comes round to no rule here") {
  Files fixture;
  const auto topics_of = [&](const std::string& target) {
    const CheckedFile checked = check_text(
        target + "CREATE RULE round AS SELECT * FROM 'a/#' DO republish(topic = 'a/b');",
        fixture.engine->environment(),
        "round.sql"
    );
    REQUIRE(checked.errors.empty());
    REQUIRE(checked.flows.size() == 1);
    return checked.flows[0].topics;
  };
  CHECK(topics_of("") == std::vector<std::string>{"a/b"});
  CHECK(topics_of("CREATE TARGET far AS mqtt(match = 'republish:a/*', url = 'mqtt://127.0.0.1:1');")
            .empty());
}

TEST_CASE("A subscription that is away keeps no other notification waiting") {
  Files fixture;
  const std::string wrong = fixture.apply(
      "sns.sql",
      "CREATE TARGET post AS smtp(host = '127.0.0.1', port = 1, from = 'a@example.com');"
      "CREATE TARGET alerts AS sns(match = 'arn:aws:sns:us-east-1:000000000000:alert*', mail = "
      "'post', subscriptions = [{'protocol': 'email', 'endpoint': 'b@example.com'}]);"
      "CREATE RULE tell AS SELECT v FROM 'in' "
      "DO sns(targetArn = 'arn:aws:sns:us-east-1:000000000000:alert1', messageFormat = 'RAW');"
  );
  REQUIRE(wrong == "");
  auto& watcher = fixture.connected("w");
  fixture.subscribe(watcher, "$iotcore/sns/#");
  auto& device = fixture.connected("d");
  for (int v = 0; v < 3; ++v) {
    fixture.publish(device, "in", "{\"v\":" + std::to_string(v) + "}", broker::Qos::kAtLeastOnce);
    fixture.deliver();
    CHECK(test::next_payload(watcher) == "{\"v\":" + std::to_string(v) + "}");
  }
  CHECK(fixture.waiting() == 3);
}

}  // namespace
}  // namespace iotcore::rules
