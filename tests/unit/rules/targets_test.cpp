#include "rules/targets.h"

#include "rules/bindings.h"
#include "rules/bound_sink.h"
#include "rules/member_reader.h"

#include <catch2/catch.hpp>

#include <map>

namespace iotcore::rules {
namespace {

Target target(std::string name, std::string kind, std::string match) {
  return {std::move(name), std::move(kind), {}, std::move(match), {}};
}

std::string bound(const Targets& targets, std::string_view kind, std::string_view name) {
  const TargetRef found = targets.bind(kind, name);
  return found ? found->name : "";
}

class OneSecret final : public SecretSource {
 public:
  Result<std::string> secret(std::string_view name) const override {
    if (name != "known") {
      return fail(Errc::kNotFound, "there is no secret 'unknown'");
    }
    return "opened";
  }
};

TEST_CASE("targets: the most specific match wins") {
  Targets targets;
  REQUIRE(targets.replace(
      "a.sql",
      {target("all", "s3", "*"),
       target("raw", "s3", "raw-*"),
       target("one", "s3", "raw-1"),
       target("cloud", "aws", "sqs:*"),
       target("plain", "s3", "")}
  ));
  CHECK(bound(targets, "s3", "other") == "all");
  CHECK(bound(targets, "s3", "raw-2") == "raw");
  CHECK(bound(targets, "s3", "raw-1") == "one");
  CHECK(bound(targets, "s3", "raw-${topic(2)}") == "raw");
  CHECK(bound(targets, "s3", "${topic(2)}") == "all");
  CHECK(bound(targets, "sqs", "queue") == "cloud");
  CHECK(bound(targets, "sns", "queue").empty());
}

TEST_CASE("targets: one that stays as it was can be told from one that has changed") {
  Targets targets;
  REQUIRE(targets.replace("a.sql", {target("x", "s3", ""), target("y", "s3", "")}));
  const TargetRef x = targets.find("x");
  const TargetRef y = targets.find("y");
  REQUIRE(targets.replace("a.sql", {target("x", "s3", ""), target("y", "s3", "raw-*")}));
  CHECK(targets.find("x") == x);
  CHECK(targets.find("y") != y);
  const Targets copy(targets);
  REQUIRE(targets.replace("a.sql", {}));
  CHECK(copy.find("x") == x);
  CHECK(copy.list("a.sql").size() == 2);
  CHECK(copy.list("b.sql").empty());
}

TEST_CASE("bindings: what an action's target is") {
  Targets targets;
  REQUIRE(targets.replace(
      "", {target("raw", "s3", "raw-*"), target("cloud", "aws", "sqs:*"), target("db", "sql", "")}
  ));
  SinkEnvironment environment;
  environment.targets = &targets;
  const auto program = sql::compile("SELECT * FROM 'a'", sql::Version::k2016_03_23);
  REQUIRE(program);
  const auto of = [&](std::string_view kind, std::string_view name) {
    return bound_target(kind, *sql::compile_template(name, *program), environment);
  };
  CHECK(of("s3", "raw-1") == "raw");
  CHECK(of("s3", "other") == "");
  CHECK(of("s3", "${topic()}") == "*");
  CHECK(of("sqs", "${topic()}") == "*");
  CHECK(of("sns", "${topic()}") == "");

  const json::object members = {{"right", "db"}, {"near", "bd"}, {"other", "raw"}};
  const auto error_of = [&](std::string_view member) {
    MemberReader reader(members, "", nullptr);
    const TargetRef found = read_target(reader, member, "sql", environment);
    CHECK((found != nullptr) == (member == "right"));
    return reader.failed() ? reader.finish()->message : "";
  };
  CHECK(error_of("right").empty());
  CHECK(error_of("near") == "there is no target 'bd'; did you mean 'db'?");
  CHECK(error_of("other") == "target 'raw' is of kind s3, not sql");
  CHECK(target_of_sink("db", environment).has_value());
  CHECK_FALSE(target_of_sink("gone", environment).has_value());
}

// Where records went, by what was made to deliver them.
std::map<std::string, std::vector<std::string>> delivered_to;
int sinks_made = 0;

class NotingSink final : public Sink {
 public:
  explicit NotingSink(std::string_view target) : target_(target) { ++sinks_made; }

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override {
    for (std::size_t i = 0; i < batch.size(); ++i) {
      if (batch[i]->payload == "bad") {
        outcomes[i] = Outcome::permanent("bad");
        continue;
      }
      delivered_to[target_].push_back(batch[i]->payload);
    }
  }

  Status probe() override { return {}; }

 private:
  std::string target_;
};

TEST_CASE("A sink by record sends each record where its name is bound to") {
  Targets targets;
  REQUIRE(targets.replace("", {target("raw", "s3", "raw-*"), target("log", "s3", "log")}));
  SinkEnvironment environment;
  environment.targets = &targets;
  delivered_to.clear();
  sinks_made = 0;
  BoundSink sink(
      "s3",
      [](const Record& record) { return std::string_view(record.fields[0]); },
      [](std::string_view name, const SinkEnvironment&) -> Result<std::unique_ptr<Sink>> {
        if (name == "log") {
          return fail(Errc::kUnavailable, "no log today");
        }
        return std::make_unique<NotingSink>(name);
      },
      environment
  );
  std::vector<Record> records(6);
  const char* const buckets[] = {"raw-1", "other", "log", "raw-2", "other", "raw-1"};
  const char* const payloads[] = {"1", "2", "3", "4", "bad", "6"};
  std::vector<const Record*> batch;
  for (std::size_t i = 0; i < records.size(); ++i) {
    records[i].fields = {buckets[i]};
    records[i].payload = payloads[i];
    batch.push_back(&records[i]);
  }
  std::vector<Outcome> outcomes(6);
  sink.deliver(batch, outcomes);
  CHECK(delivered_to["raw"] == std::vector<std::string>{"1", "4", "6"});
  CHECK(delivered_to[""] == std::vector<std::string>{"2"});
  CHECK(outcomes[2].kind == Outcome::Kind::kRetry);
  CHECK(outcomes[2].reason == "no log today");
  CHECK(outcomes[4].kind == Outcome::Kind::kPermanent);
  CHECK(sink.probe());

  CHECK(sinks_made == 2);
  sink.deliver(std::span(batch).first(1), std::span(outcomes).first(1));
  CHECK(sinks_made == 2);
  REQUIRE(targets.replace("", {target("raw", "s3", "raw-1*")}));
  sink.deliver(std::span(batch).first(1), std::span(outcomes).first(1));
  CHECK(sinks_made == 3);
  delivered_to.clear();
  REQUIRE(targets.replace("", {}));
  sink.deliver(std::span(batch).first(1), std::span(outcomes).first(1));
  CHECK(delivered_to[""] == std::vector<std::string>{"1"});
}

TEST_CASE("targets: a name belongs to one place, and goes with it") {
  Targets targets;
  REQUIRE(targets.replace("a.sql", {target("db", "postgres", "")}));
  const std::uint64_t version = targets.version();
  const Status taken = targets.replace("b.sql", {target("db", "postgres", "")});
  REQUIRE(!taken);
  CHECK(taken.error().message() == "target db is also in a.sql");
  CHECK(targets.version() == version);
  REQUIRE(targets.replace("a.sql", {}));
  CHECK(targets.version() > version);
  CHECK(targets.find("db") == nullptr);
}

TEST_CASE("targets: secrets are opened wherever they stand") {
  const OneSecret secrets;
  const Targets targets(&secrets);
  Target db = target("db", "postgres", "");
  db.options = {{"user", "iot"}, {"password", {{"$secret", "known"}}}};
  const Result<json::object> opened = targets.open_secrets(db);
  REQUIRE(opened);
  CHECK(opened->at("password").as_string() == "opened");
  db.options["password"] = {{"$secret", "unknown"}};
  CHECK(!targets.open_secrets(db));
}

TEST_CASE("targets: those whose secrets have changed are made anew, and no others") {
  struct Changing final : SecretSource {
    Result<std::string> secret(std::string_view name) const override {
      const auto found = values.find(name);
      return found == values.end() ? Result<std::string>(fail(Errc::kNotFound, "none"))
                                   : found->second;
    }

    std::map<std::string, std::string, std::less<>> values = {{"a", "1"}, {"b", "1"}};
  } secrets;

  Targets targets(&secrets);
  const auto with = [](const char* name, const char* secret) {
    Target made = target(name, "postgres", "");
    made.options = {{"user", "iot"}, {"password", {{"$secret", secret}}}};
    return made;
  };
  REQUIRE(targets.replace(
      "", {with("one", "a"), with("two", "b"), with("late", "c"), with("idle", "a")}
  ));
  const TargetRef one = targets.find("one");
  const TargetRef two = targets.find("two");
  CHECK(targets.open_secrets(*one));
  CHECK(targets.open_secrets(*two));
  CHECK_FALSE(targets.open_secrets(*targets.find("late")));
  CHECK(targets.renew_where_secrets_changed().empty());

  secrets.values["a"] = "2";
  secrets.values["c"] = "1";
  CHECK(targets.renew_where_secrets_changed() == std::set<std::string, std::less<>>{"late", "one"});
  CHECK(targets.find("one") != one);
  CHECK(*targets.find("one") == *one);
  CHECK(targets.find("two") == two);

  // What cannot be opened goes on with what it has.
  secrets.values.erase("b");
  CHECK(targets.renew_where_secrets_changed().count("two") == 0);
}

}  // namespace
}  // namespace iotcore::rules
