#include "rules/actions/sqlite_database.h"
#include "tests/unit/rules/engine_fixture.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>

namespace iotcore::rules {
namespace {

using actions::SqliteDatabase;
using broker::Qos;
using test::EngineFixture;
using test::next_is_puback;
using test::next_payload;

constexpr std::string_view kToSqlite =
    R"([{"iotcore": {"type": "sqlite", "file": "plant.db", "table": "readings"}}])";

std::vector<std::string> query(EngineFixture& fixture, const std::string& sql) {
  auto database = SqliteDatabase::open(fixture.folder.path() / "sinks/plant.db").value();
  actions::SqliteStatement* statement = database->prepare(sql).value();
  std::vector<std::string> rows;
  while (statement->step().value()) {
    rows.emplace_back(statement->text(0));
  }
  return rows;
}

TEST_CASE("A reading at QoS 1 is in the outbox when it is acknowledged, and then in SQLite") {
  EngineFixture fixture;
  fixture.create(
      "hot", "SELECT *, topic(2) AS machine FROM 'plant/+' WHERE temperature > 70", kToSqlite
  );
  auto& device = fixture.connected("m1");
  fixture.publish(device, "plant/m1", R"({"temperature": 81})", Qos::kAtLeastOnce);
  CHECK(next_is_puback(device));
  CHECK(fixture.waiting() == 1);
  fixture.publish(device, "plant/m1", R"({"temperature": 60})", Qos::kAtLeastOnce);
  CHECK(fixture.waiting() == 1);

  fixture.deliver();
  CHECK(fixture.waiting() == 0);
  CHECK(
      query(fixture, "SELECT machine || ' ' || temperature FROM readings") ==
      std::vector<std::string>{"m1 81"}
  );
}

TEST_CASE(
    "Nothing acknowledged is lost and nothing is there twice when the process goes at any step"
) {
  EngineFixture fixture;
  fixture.create("all", "SELECT n FROM 'plant/+'", kToSqlite);
  auto& device = fixture.connected("m1");
  for (int i = 0; i < 5; ++i) {
    fixture.publish(device, "plant/m1", fmt::format(R"({{"n": {}}})", i), Qos::kAtLeastOnce);
    CHECK(next_is_puback(device));
  }
  fixture.restart();
  CHECK(fixture.waiting() == 5);
  fixture.publish(device, "plant/m1", R"({"n": 5})", Qos::kAtLeastOnce);
  fixture.deliver();
  CHECK(
      query(fixture, "SELECT n FROM readings ORDER BY rowid") ==
      std::vector<std::string>{"0", "1", "2", "3", "4", "5"}
  );
  CHECK(fixture.waiting() == 0);
  fixture.restart();
  fixture.deliver();
  CHECK(query(fixture, "SELECT count(*) FROM readings") == std::vector<std::string>{"6"});
}

TEST_CASE("A republish goes out in the turn of its message") {
  EngineFixture fixture;
  fixture.create(
      "alert",
      "SELECT temperature FROM 'plant/#' WHERE temperature > 70",
      R"([{"republish": {"topic": "alerts/${topic(2)}", "qos": 1, "roleArn": "arn:aws:iam::0:role/r"}}])"
  );
  auto& watcher = fixture.connected("w");
  fixture.subscribe(watcher, "alerts/#", Qos::kAtLeastOnce);
  auto& device = fixture.connected("m1");
  fixture.publish(device, "plant/m1", R"({"temperature": 99})", Qos::kAtLeastOnce);
  CHECK(next_payload(watcher) == R"({"temperature":99})");
  CHECK(next_is_puback(device));
}

}  // namespace
}  // namespace iotcore::rules
