#include "rules/actions/sqlite_database.h"
#include "tests/unit/rules/engine_fixture.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <atomic>
#include <thread>

namespace iotcore::rules {
namespace {

using namespace std::chrono_literals;
using broker::Qos;
using test::EngineFixture;
using test::next_is_puback;
using test::next_payload;

constexpr std::string_view kToSqlite =
    R"([{"iotcore": {"type": "sqlite", "file": "asked.db", "table": "answers"}}])";

// Answers when it is told to.
class Oracle final : public sql::ExternalFunctions {
 public:
  Result<std::string> call(std::string_view /*function*/, const json::array& arguments) override {
    ++calls;
    while (!open) {
      std::this_thread::sleep_for(1ms);
    }
    if (arguments[0] == json::value("nobody")) {
      return fail(Errc::kNotFound, "there is no such thing");
    }
    return std::string(R"({"n": 7})");
  }

  std::atomic<bool> open = true;
  std::atomic<int> calls = 0;
};

struct DeferredFixture {
  DeferredFixture() {
    engine.external = &oracle;
    engine.restart();
  }

  void wait_for(const std::function<bool()>& condition) {
    for (int i = 0; i < 2000 && !condition(); ++i) {
      engine.deliver();
      std::this_thread::sleep_for(1ms);
    }
    CHECK(condition());
  }

  std::vector<std::string> answers() {
    auto database = actions::SqliteDatabase::open(engine.folder.path() / "sinks/asked.db").value();
    auto statement = database->prepare("SELECT v || ' ' || n FROM answers ORDER BY rowid");
    std::vector<std::string> rows;
    while (statement && (*statement)->step().value()) {
      rows.emplace_back((*statement)->text(0));
    }
    return rows;
  }

  // Messages kept until what follows from them is.
  std::size_t kept() { return engine.rows(store::Table::kOutbox, "v"); }

  Oracle oracle;
  EngineFixture engine;
};

TEST_CASE("A rule that asks others does so off the worker, once its WHERE is true") {
  DeferredFixture fixture;
  fixture.engine.create(
      "asks", "SELECT v, get_thing_shadow('t', 'r').n AS n FROM 'in' WHERE v > 1", kToSqlite
  );
  auto& device = fixture.engine.connected("d");
  fixture.oracle.open = false;
  fixture.engine.publish(device, "in", R"({"v": 1})", Qos::kAtLeastOnce);
  CHECK(next_is_puback(device));
  CHECK(fixture.kept() == 0);
  for (const int v : {2, 3, 4}) {
    fixture.engine.publish(device, "in", fmt::format(R"({{"v": {}}})", v), Qos::kAtLeastOnce);
    CHECK(next_is_puback(device));
  }
  CHECK(fixture.kept() == 3);
  fixture.oracle.open = true;
  fixture.wait_for([&] { return fixture.kept() == 0 && fixture.engine.waiting() == 0; });
  CHECK(fixture.answers() == std::vector<std::string>{"2 7", "3 7", "4 7"});
  CHECK(fixture.oracle.calls == 3);
}

TEST_CASE("Messages that were acknowledged are evaluated after a crash, in their order") {
  DeferredFixture fixture;
  fixture.engine.create("asks", "SELECT v, get_thing_shadow('t', 'r').n AS n FROM 'in'", kToSqlite);
  auto& device = fixture.engine.connected("d");
  fixture.oracle.open = false;
  for (const int v : {1, 2, 3}) {
    fixture.engine.publish(device, "in", fmt::format(R"({{"v": {}}})", v), Qos::kAtLeastOnce);
    CHECK(next_is_puback(device));
  }
  std::thread opener([&fixture] {
    std::this_thread::sleep_for(20ms);
    fixture.oracle.open = true;
  });
  fixture.engine.restart();
  opener.join();
  fixture.wait_for([&] { return fixture.kept() == 0 && fixture.engine.waiting() == 0; });
  CHECK(fixture.answers() == std::vector<std::string>{"1 7", "2 7", "3 7"});
}

TEST_CASE("What an action's template asks is asked off the worker, too, and a publish follows") {
  DeferredFixture fixture;
  fixture.engine.create(
      "asks",
      "SELECT v FROM 'in'",
      R"([{"republish": {"topic": "out/${get_thing_shadow('t', 'r').n}", "roleArn": "r", "qos": 1}}])"
  );
  auto& device = fixture.engine.connected("d");
  fixture.engine.subscribe(device, "out/#");
  fixture.engine.publish(device, "in", R"({"v": 1})", Qos::kAtMostOnce);
  fixture.wait_for([&] { return fixture.oracle.calls == 1; });
  std::string got;
  fixture.wait_for([&] { return !(got = got.empty() ? next_payload(device) : got).empty(); });
  CHECK(got == R"({"v":1})");
}

TEST_CASE("A publish that was promised follows once the disk takes it again") {
  DeferredFixture fixture;
  EngineFixture& engine = fixture.engine;
  engine.create(
      "asks",
      "SELECT v, get_thing_shadow('t', 'r').n AS n FROM 'in'",
      R"([{"republish": {"topic": "out", "roleArn": "r", "qos": 1}}])"
  );
  broker::test::TestClient& away = engine.client();
  broker::mqtt::ConnectView connect;
  connect.client_id = "away";
  connect.properties.set(broker::mqtt::Property::kSessionExpiryInterval, 3600);
  away.send(connect);
  engine.settle();
  away.receive();
  engine.subscribe(away, "out", Qos::kAtLeastOnce);
  away.lose();
  auto& device = engine.connected("d");
  fixture.oracle.open = false;
  engine.publish(device, "in", R"({"v": 1})", Qos::kAtLeastOnce);
  CHECK(next_is_puback(device));
  engine.fault->break_writes(Error(Errc::kStoreFull, "no space"));
  fixture.oracle.open = true;
  fixture.wait_for([&] { return engine.fault->failures() != 0; });
  CHECK(fixture.kept() == 1);
  engine.fault->mend();
  fixture.wait_for([&] { return fixture.kept() == 0; });
  CHECK(fixture.oracle.calls == 1);
  CHECK(engine.rows(store::Table::kQueue, "q") == 1);
}

TEST_CASE("An answer that fails ends the rule, unless get_or_default stands around it") {
  DeferredFixture fixture;
  fixture.engine.create(
      "ends", "SELECT v, get_thing_shadow('nobody', 'r').n AS n FROM 'in'", kToSqlite
  );
  fixture.engine.create(
      "goes_on",
      "SELECT v, get_or_default(get_thing_shadow('nobody', 'r').n, 0) AS n FROM 'in'",
      kToSqlite
  );
  auto& device = fixture.engine.connected("d");
  fixture.engine.publish(device, "in", R"({"v": 1})", Qos::kAtLeastOnce);
  CHECK(next_is_puback(device));
  fixture.wait_for([&] { return fixture.kept() == 0 && fixture.engine.waiting() == 0; });
  CHECK(fixture.answers() == std::vector<std::string>{"1 0"});
}

TEST_CASE("Of messages that nobody was promised, the oldest go when too many wait") {
  DeferredFixture fixture;
  fixture.engine.deferred_waiting_max = 3;
  fixture.engine.restart();
  fixture.engine.create("asks", "SELECT v, get_thing_shadow('t', 'r').n AS n FROM 'in'", kToSqlite);
  auto& device = fixture.engine.connected("d");
  fixture.oracle.open = false;
  fixture.engine.publish(device, "in", R"({"v": 0})", Qos::kAtMostOnce);
  fixture.wait_for([&] { return fixture.oracle.calls == 1; });
  for (const int v : {1, 2, 3, 4}) {
    fixture.engine.publish(device, "in", fmt::format(R"({{"v": {}}})", v), Qos::kAtMostOnce);
  }
  fixture.oracle.open = true;
  fixture.wait_for([&] { return fixture.oracle.calls == 3 && fixture.answers().size() == 3; });
  CHECK(fixture.answers() == std::vector<std::string>{"0 7", "3 7", "4 7"});
}

}  // namespace
}  // namespace iotcore::rules
