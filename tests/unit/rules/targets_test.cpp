#include "rules/targets.h"

#include <catch2/catch.hpp>

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

}  // namespace
}  // namespace iotcore::rules
