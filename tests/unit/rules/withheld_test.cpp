#include "rules/sql/withheld.h"

#include "rules/record_secrets.h"
#include "rules/rule_set.h"
#include "tests/unit/rules/engine_fixture.h"
#include "tests/unit/rules/sql_support.h"

#include <catch2/catch.hpp>

#include <fstream>
#include <map>

namespace iotcore::rules {
namespace {

using test::EngineFixture;

// Secrets by name; every call counts.
class Vault final : public sql::ExternalFunctions {
 public:
  Result<std::string> call(std::string_view function, const json::array& arguments) override {
    ++calls;
    if (function != "get_secret") {
      return std::string("\"lambda\"");
    }
    const auto found = secrets.find(std::string(arguments[0].as_string()));
    return found == secrets.end() ? fail(Errc::kNotFound, "there is no such secret")
                                  : Result<std::string>(found->second);
  }

  int calls = 0;
  std::map<std::string, std::string> secrets = {
      {"s", R"("hush \"hush\"")"}, {"j", R"({"user": "u", "n": 7})"}};
};

// A template, and what is left of it for whoever delivers.
std::string residual(std::string_view set, std::string_view text, std::string_view payload) {
  const sql::Program program =
      sql::compile(std::string(set) + " SELECT * FROM 'a'", sql::Version::k2016_03_23).value();
  const sql::Template compiled = sql::compile_template(text, program).value();
  sql::MessageView message;
  message.topic = "a/b";
  sql::ParsedPayload parsed(payload);
  Vault vault;
  sql::CountingRandom random;
  sql::Evaluation evaluation(program, message, parsed, vault, random);
  evaluation.set_withholding(true);
  const Result<std::string> made = evaluation.render(compiled);
  CHECK((compiled.has_to_wait() || vault.calls == 0));
  return made ? sql::show_withheld(*made, evaluation.secret_mark()) : made.error().message();
}

// The same after it has been delivered.
std::string delivered(std::string_view text, std::string_view payload) {
  const sql::Program program = sql::compile("SELECT * FROM 'a'", sql::Version::k2016_03_23).value();
  const sql::Template compiled = sql::compile_template(text, program).value();
  const sql::MessageView message;
  sql::ParsedPayload parsed(payload);
  Vault vault;
  sql::CountingRandom random;
  sql::Evaluation evaluation(program, message, parsed, vault, random);
  evaluation.set_withholding(true);
  Record record;
  record.fields = {evaluation.render(compiled).value()};
  record.secret_mark = evaluation.secret_mark();
  EngineFixture engine;
  RecordSecrets secrets;

  class NoRules final : public RuleExecutor {
    void execute(std::span<const LiveRuleRef>, std::string_view, broker::PublishContext&) override {
    }

    void rule_not_found(const broker::BasicIngestTopic&, broker::PublishContext&) override {}
  } none;

  RuleSet rules(*engine.broker, none);
  secrets.connect(rules, vault);
  std::vector<std::string> opened;
  return secrets.open(record, opened).value().fields[0];
}

TEST_CASE("Of a template with a secret everything else is computed") {
  CHECK(residual("", "a ${v} b", R"({"v": 1})") == "a 1 b");
  CHECK(
      residual("", "Bearer ${get_secret('s', 'SecretString', 'r')}!", "{}") ==
      "Bearer ${get_secret('s', 'SecretString', 'r')}!"
  );
  CHECK(
      residual(
          "",
          "${encode(concat(upper(user), ':', get_secret('s', 'SecretString', v.k, 'r')), "
          "'base64')}",
          R"({"user": "it's", "v": {"k": "m"}})"
      ) == "${encode(concat('IT''S', ':', get_secret('s', 'SecretString', 'm', 'r')), 'base64')}"
  );
  // Values of every kind.
  CHECK(
      residual(
          "",
          "${concat(get_secret('s', 'SecretString', 'r'), v)}",
          R"({"v": [1.5, null, {"a'": true}]})"
      ) == "${concat(get_secret('s', 'SecretString', 'r'), [1.5, null, {'a''': true}])}"
  );
  CHECK(
      residual("", "${get_secret('s', 'SecretString', 'r') + nix}", "{}") ==
      "${(get_secret('s', 'SecretString', 'r') + nothing)}"
  );
  // CASE is decided, a variable is what it stands for.
  CHECK(
      residual(
          "SET @k = get_secret('s', 'SecretString', 'r')",
          "${CASE v WHEN 1 THEN @k ELSE 'none' END}/${CASE v WHEN 2 THEN @k ELSE 'none' END}",
          R"({"v": 1})"
      ) == "${get_secret('s', 'SecretString', 'r')}/${'none'}"
  );
  CHECK(
      residual("", "${get_or_default(get_secret('s', 'SecretString', 'r'), v)}", R"({"v": "d"})") ==
      "${get_or_default(get_secret('s', 'SecretString', 'r'), 'd')}"
  );
  // What depends on the secret in other ways is not withheld.
  CHECK(
      residual(
          "", "${CASE get_secret('s', 'SecretString', 'r') WHEN 'x' THEN 1 ELSE 2 END}", "{}"
      ) == "2"
  );
}

TEST_CASE("What a rule says beside ${…} where nobody is to see it is withheld, too") {
  const sql::Program program = sql::compile("SELECT * FROM 'a'", sql::Version::k2016_03_23).value();
  const sql::Template mixed =
      sql::compile_template("key-77-${v}${get_secret('s', 'SecretString', 'r')}-end", program)
          .value();
  const sql::Template literal = sql::compile_template("key-88", program).value();
  const sql::MessageView message;
  sql::ParsedPayload parsed(R"({"v": 1})");
  Vault vault;
  sql::CountingRandom random;
  sql::Evaluation evaluation(program, message, parsed, vault, random);
  CHECK(evaluation.render_own("m", mixed).value() == "key-77-1hush \"hush\"-end");
  evaluation.set_withholding(true);
  const std::string kept = evaluation.render_own("m", mixed).value();
  CHECK(kept.find("key-77") == std::string::npos);
  CHECK(
      sql::show_withheld(kept, evaluation.secret_mark()) ==
      "(m#0 of the rule)1${get_secret('s', 'SecretString', 'r')}(m#2 of the rule)"
  );
  CHECK(
      sql::show_withheld(
          evaluation.render_own("m", literal).value(), evaluation.secret_mark()
      ) == "(m of the rule)"
  );
  CHECK(mixed.literal_part("m", "m#0") == "key-77-");
  CHECK(mixed.literal_part("m", "m#1") == "");
  CHECK(mixed.literal_part("m", "m#2") == "-end");
  for (const char* other : {"m", "m#", "m#3", "n#0", "m#00"}) {
    CHECK_FALSE(mixed.literal_part("m", other));
  }
}

TEST_CASE("What was withheld is what it would have been") {
  for (const auto& [text, payload, expected] :
       std::initializer_list<std::tuple<const char*, const char*, const char*>>{
           {"k=${get_secret('s', 'SecretString', 'r')}", "{}", "k=hush \"hush\""},
           {R"({"k": "${get_secret('s', 'SecretString', 'r')}"})",
            "{}",
            R"({"k": "hush \"hush\""})"},
           {R"({"k": ${get_secret('j', 'SecretString', 'r')}})",
            "{}",
            R"({"k": {"user":"u","n":7}})"},
           {"${get_secret('j', 'SecretString', 'r').user}", "{}", "u"},
           {"${encode(concat(v, get_secret('s', 'SecretString', 'r')), 'base64')}",
            R"({"v": "it's: "})",
            "aXQnczogaHVzaCAiaHVzaCI="},
           {"${substring(get_secret('s', 'SecretString', 'r'), v)}", R"({"v": 5})", "\"hush\""},
           {"${cast(get_secret('j', 'SecretString', 'r').n as Decimal) + v}",
            R"({"v": 1.5})",
            "8.5"},
       }) {
    INFO(text);
    CHECK(delivered(text, payload) == expected);
  }
}

TEST_CASE("A mark that was not given by this evaluation is text like any other") {
  const std::string text = "withheld" + std::string(32, '0') + "x6162z";
  CHECK(sql::show_withheld(text, sql::new_withheld_mark()) == text);
  CHECK(sql::show_withheld(text, "") == text);
  const std::string mark = sql::new_withheld_mark();
  std::string one;
  sql::append_withheld(one, mark, {sql::Withheld::Kind::kMember, "token"});
  CHECK(sql::show_withheld("a " + one + one, mark) == "a (token of the rule)(token of the rule)");
  // Cut short by a function of ours that was called on it.
  CHECK(sql::show_withheld(one.substr(0, one.size() - 1), mark) == "(withheld)");
}

TEST_CASE("A record that waits has no secret in the store, nor has a dead letter") {
  EngineFixture engine;
  Vault vault;
  vault.secrets.erase("s");
  engine.external = &vault;
  engine.restart();
  engine.create(
      "r",
      "SELECT v, get_secret('s', 'SecretString', 'r') AS k FROM 'in'",
      R"([{"iotcore": {"type": "file", "path": "kept.jsonl"}}])"
  );
  auto& device = engine.connected("d");
  engine.publish(device, "in", R"({"v": 1})", broker::Qos::kAtLeastOnce);
  CHECK(test::next_is_puback(device));
  CHECK(engine.rows(store::Table::kOutbox, "v") == 0);  // nothing had to be asked for
  engine.deliver();
  CHECK(engine.waiting() == 1);  // there is no such secret yet
  vault.secrets["s"] = "\"hush\"";
  engine.pass(std::chrono::minutes(2));
  CHECK(engine.waiting() == 0);
  std::ifstream kept(engine.folder.path() / "sinks/kept.jsonl");
  std::string line;
  std::getline(kept, line);
  CHECK(line == R"({"v":1,"k":"hush"})");
}

TEST_CASE("An errorAction that asks others does so off the worker, also when a full queue drops") {
  EngineFixture engine;
  Vault vault;
  engine.external = &vault;
  engine.restart();
  engine.create(
      "r",
      "SELECT * FROM 'in'",
      R"([{"iotcore": {"type": "file", "path": "kept"}, "iotcoreDelivery": {"maxBytes": 1048576}},
          {"republish": {"topic": "${nothing}", "roleArn": "arn:aws:iam::1:role/r"}}])",
      R"x({"iotcore": {"type": "sqlite", "file": "e.db", "statement": "INSERT INTO e VALUES (${aws_lambda('f', 1)})"}})x"
  );
  auto& device = engine.connected("d");
  for (int i = 0; i < 20; ++i) {
    engine.publish(device, "in", '"' + std::string(100'000, 'x') + '"', broker::Qos::kAtMostOnce);
  }
  CHECK(vault.calls == 0);
  engine.runner->run_one();
  engine.deliver();
  CHECK(vault.calls > 0);
}

}  // namespace
}  // namespace iotcore::rules
