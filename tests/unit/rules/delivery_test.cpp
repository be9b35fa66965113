// How records go to their sinks: lanes, what a disk with little room does, dead letters, traces.
#include "rules/actions/sqlite_database.h"
#include "tests/unit/rules/engine_fixture.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>

namespace iotcore::rules {
namespace {

using namespace std::chrono_literals;
using broker::Qos;
using test::EngineFixture;
using test::next_is_puback;

constexpr std::string_view kRefused =
    R"x([{"iotcore": {"type": "sqlite", "file": "x.db", "statement": "INSERT INTO t VALUES (${v})"}}])x";

TEST_CASE("With little room on the disk, publishers go at the pace of the sinks") {
  EngineFixture fixture;
  fixture.disk_free_min_percent = 100;
  fixture.restart();
  fixture.create(
      "keep", "SELECT v FROM 'in'", R"([{"iotcore": {"type": "file", "path": "kept.jsonl"}}])"
  );
  auto& device = fixture.connected("d");
  fixture.publish(device, "in", R"({"v": 1})", Qos::kAtLeastOnce);
  CHECK_FALSE(next_is_puback(device));
  CHECK(fixture.waiting() == 1);
  fixture.deliver();
  CHECK(next_is_puback(device));
  CHECK(fixture.waiting() == 0);
  fixture.publish(device, "in", R"({"v": 2})", Qos::kAtMostOnce);
  fixture.deliver();
  CHECK(
      std::filesystem::file_size(fixture.folder.path() / "sinks/kept.jsonl") ==
      std::string_view("{\"v\":1}\n{\"v\":2}\n").size()
  );
}

TEST_CASE("Records are spread over lanes by key, and stay on theirs") {
  Metrics metrics;
  ManualClock clock;
  store::MemoryStore store;
  Outbox outbox(store);
  REQUIRE(outbox.open(clock.wall()));
  test::ManualRunner runner(clock);
  MemoryBudget memory(1U << 20);

  struct NoEnds final : RecordEnds {
    void on_delivered(const std::string&, std::span<const std::unique_ptr<Record>>) override {}

    Function<void()> on_end(const std::string&, Record&, const RecordEnd&, store::Batch&) override {
      return {};
    }
  } ends;

  std::deque<SinkQueue> queues;
  std::vector<SinkQueue*> all;
  for (std::size_t lane = 0; lane < 4; ++lane) {
    queues.emplace_back(
        sink_lane("log info", lane),
        nullptr,
        QueueOptions(),
        outbox,
        runner,
        ends,
        memory,
        clock,
        metrics
    );
    all.push_back(&queues.back());
  }
  const Lanes by_key(all, true);
  const auto lane_of = [&](std::string_view key, std::string_view client) {
    return by_key.of([&] { return key; }, client);
  };
  std::set<SinkQueue*> used;
  for (int i = 0; i < 100; ++i) {
    const std::string key = std::to_string(i);
    used.insert(lane_of(key, "c"));
    CHECK(lane_of(key, "c") == lane_of(key, "d"));
    CHECK(lane_of("", key) == lane_of("", key));
  }
  CHECK(used.size() == 4);
  const Lanes in_turn(all, false);
  used.clear();
  for (int i = 0; i < 4; ++i) {
    used.insert(in_turn.of([] { return std::string_view(); }, "c"));
  }
  CHECK(used.size() == 4);
  CHECK(Lanes({}, true).of([] { return std::string_view(); }, "c") == nullptr);

  CHECK(all[0]->id() == "log info");
  CHECK(all[2]->id() == "log@3 info");
  CHECK(kind_of_sink("log@3 info") == find_action_kind("log"));
  CHECK(target_of_sink_id("log@3 a b") == "a b");
}

TEST_CASE("Only kinds whose sinks can stand beside each other take concurrency") {
  EngineFixture fixture;
  const Status refused = fixture.engine->catalog().create(EngineFixture::rule(
      "r",
      "SELECT * FROM 'in'",
      R"([{"iotcore": {"type": "file", "path": "x"}, "iotcoreDelivery": {"concurrency": 2}}])"
  ));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message() == "actions/0/iotcoreDelivery/concurrency: file takes at most 1");
}

TEST_CASE("Dead letters are listed by page, delivered again or dropped") {
  EngineFixture fixture;
  fixture.create("a", "SELECT v FROM 'in'", kRefused);
  fixture.create("b", "SELECT v FROM 'in'", kRefused);
  auto& device = fixture.connected("d");
  for (int v = 0; v < 3; ++v) {
    fixture.publish(device, "in", fmt::format(R"({{"v": {}}})", v), Qos::kAtLeastOnce);
    CHECK(next_is_puback(device));
  }
  fixture.deliver();
  DeadLetters& letters = fixture.engine->dead_letters();
  const auto all = letters.list("", "", 100).value();
  REQUIRE(all.size() == 6);
  CHECK(letters.list("b", "", 100)->size() == 3);
  CHECK(letters.list("", all[3].id, 100)->size() == 2);
  CHECK(letters.list("a", all[0].id, 1)->at(0).id == all[1].id);
  CHECK(letters.get(all[0].id)->content.failures(0).message() == "no such table: t");
  for (const char* wrong : {"", "a", "a-", "a-1", "zz-12x"}) {
    CHECK(letters.get(wrong).error().code() == Errc::kNotFound);
  }
  CHECK(letters.drop({.ids = {all[0].id}, .rule = ""}) == 1U);
  CHECK(letters.drop({.ids = {}, .rule = "b"}) == 3U);
  CHECK(
      fixture.engine->retry_dead_letters({.ids = {"a-7"}, .rule = ""}).error().code() ==
      Errc::kNotFound
  );

  // What fails again comes back, and outlives a restart.
  CHECK(fixture.engine->retry_dead_letters({}) == 2U);
  CHECK(letters.list("", "", 100)->empty());
  fixture.deliver();
  CHECK(letters.list("", "", 100)->size() == 2);
  fixture.restart();
  auto database = actions::SqliteDatabase::open(fixture.folder.path() / "sinks/x.db").value();
  REQUIRE(database->prepare("CREATE TABLE t (v)").value()->step());
  CHECK(fixture.engine->retry_dead_letters({}) == 2U);
  fixture.deliver();
  CHECK(fixture.engine->dead_letters().list("", "", 100)->empty());
  CHECK(fixture.waiting() == 0);
}

TEST_CASE(
    "A dead letter that is named twice is delivered again once, and what is too old is dropped"
) {
  EngineFixture fixture;
  fixture.create("a", "SELECT v FROM 'in'", kRefused);
  auto& device = fixture.connected("d");
  fixture.publish(device, "in", R"({"v": 1})", Qos::kAtLeastOnce);
  CHECK(next_is_puback(device));
  fixture.deliver();
  DeadLetters& letters = fixture.engine->dead_letters();
  const std::string id = letters.list("", "", 100).value().at(0).id;
  CHECK(fixture.engine->retry_dead_letters({.ids = {id, id}, .rule = ""}) == 1U);
  CHECK(fixture.waiting() == 1);
  fixture.deliver();
  CHECK(letters.list("", "", 100)->size() == 1);
  fixture.pass(std::chrono::hours(15 * 24));
  CHECK(letters.list("", "", 100)->empty());
}

TEST_CASE("Each queue of a rule that is full keeps the publisher waiting") {
  EngineFixture fixture;
  for (const std::string full : {"first", "second"}) {
    const std::string other = full == "first" ? "second" : "first";
    fixture.create(
        full,
        fmt::format("SELECT v FROM '{}'", full),
        fmt::format(
            R"x([{{"iotcore": {{"type": "file", "path": "first.{0}"}}, "iotcoreDelivery": {{"{1}": 1048576}}}},
                {{"iotcore": {{"type": "file", "path": "second.{0}"}}, "iotcoreDelivery": {{"{2}": 1048576}}}}])x",
            full,
            full == "first" ? "maxBytes" : "batchBytes",
            full == "second" ? "maxBytes" : "batchBytes"
        )
    );
    auto& device = fixture.connected("d-" + full);
    std::size_t acknowledged = 0;
    const std::string payload = fmt::format(R"({{"v": "{}"}})", std::string(100'000, 'x'));
    for (int i = 0; i < 20; ++i) {
      fixture.publish(device, full, payload, Qos::kAtLeastOnce);
      acknowledged += next_is_puback(device) ? 1 : 0;
    }
    CHECK(acknowledged < 12);
    fixture.deliver();
    while (next_is_puback(device)) {
      ++acknowledged;
    }
    CHECK(acknowledged == 20);
  }
}

TEST_CASE("A trace has what comes after it was asked for, until nobody asks any more") {
  ManualClock clock;
  RuleTraces traces(clock);
  sql::MessageView message;
  message.topic = "in";
  CHECK_FALSE(traces.begin("r", message, "{}"));
  CHECK_FALSE(traces.is_on());
  RuleTraces::Page page = traces.read("r", 0);
  CHECK(page.events.empty());
  REQUIRE(page.next != 0);
  CHECK_FALSE(traces.begin("other", message, "{}"));
  const auto note = [&](const std::string& payload) {
    std::optional<TraceEvent> event = traces.begin("r", message, payload);
    REQUIRE(event);
    traces.end("r", std::move(event), std::optional<sql::Output>(), "");
  };
  note("1");
  note(std::string(100'000, 'x'));
  page = traces.read("r", page.next);
  REQUIRE(page.events.size() == 2);
  CHECK(page.events[0].payload == "1");
  CHECK(page.events[0].outcome == TraceEvent::Outcome::kNotFired);
  CHECK(page.events[1].payload.size() == RuleTraces::kBytesShown);
  CHECK(traces.read("r", page.next).events.empty());
  for (std::size_t i = 0; i < RuleTraces::kEventsKept + 10; ++i) {
    note(std::to_string(i));
  }
  page = traces.read("r", page.next);
  CHECK(page.events.size() == RuleTraces::kEventsKept);
  CHECK(page.missed == 10);
  clock.advance(RuleTraces::kLife + 1s);
  CHECK_FALSE(traces.begin("r", message, "{}"));
  CHECK_FALSE(traces.is_on());
}

}  // namespace
}  // namespace iotcore::rules
