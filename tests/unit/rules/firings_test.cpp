// How the ends of several actions of one rule and message become one errorAction.
#include "rules/firings.h"

#include "rules/keys.h"
#include "tests/unit/rules/engine_fixture.h"

#include <catch2/catch.hpp>

namespace iotcore::rules {
namespace {

using broker::Qos;
using test::EngineFixture;
using test::next_is_puback;
using test::next_payload;

class NoRules final : public RuleExecutor {
 public:
  void execute(std::span<const LiveRuleRef>, std::string_view, broker::PublishContext&) override {}

  void rule_not_found(const broker::BasicIngestTopic&, broker::PublishContext&) override {}
};

// Its rules are gone, so that failures end as dead letters.
struct FiringsFixture {
  static constexpr std::uint32_t kActions = 0b111;

  FiringsFixture() {
    REQUIRE(outbox.open(broker.clock.wall()));
    REQUIRE(letters.load());
    firings.connect(rules, external, "1", *broker.runner);
    store::Batch batch;
    batch.put(kOutbox, keys::message("m", "r"), record::OutboxMessage().SerializeAsString());
    REQUIRE(store.commit_wait(std::move(batch)));
  }

  struct End {
    store::Batch batch;
    Function<void()> after;
  };

  End end(std::int32_t action, bool is_delivered) {
    Record record;
    record.sequence = 1;
    record.rule = "r";
    record.action = action;
    record.message_id = "m";
    record.actions_mask = kActions;
    End made;
    made.after = firings.on_end(
        "sink " + std::to_string(action),
        record,
        {is_delivered ? RecordEnd::Kind::kDelivered : RecordEnd::Kind::kFailed,
         std::to_string(action),
         RecordEnd::Cause::kRefused},
        made.batch
    );
    return made;
  }

  void commit(End& end) {
    REQUIRE(store.commit_wait(std::move(end.batch)));
    if (end.after) {
      end.after();
    }
  }

  // Of the one dead letter, besides that the errorAction could not be.
  std::vector<std::string> told() {
    const auto all = letters.list("", "", 10).value();
    REQUIRE(all.size() == 1);
    std::vector<std::string> reasons;
    for (const record::ActionFailure& failure : all[0].content.failures()) {
      if (failure.action() != "errorAction") {
        reasons.push_back(failure.message());
      }
    }
    std::ranges::sort(reasons);
    return reasons;
  }

  std::size_t rows(std::string_view prefix) {
    return store.scan(kOutbox, prefix, "", 100).value().size();
  }

  static constexpr store::Table kOutbox = keys::kOutbox;

  EngineFixture broker;
  NoRules executor;
  RuleSet rules{*broker.broker, executor};
  sql::NoExternalFunctions external;
  store::MemoryStore store;
  Outbox outbox{store};
  Metrics metrics;
  DeadLetters letters{outbox, metrics, broker.clock, {}};
  RuleMetricsTable rule_metrics{metrics, 1};
  Firings firings{outbox, letters, rule_metrics, broker.clock};
};

TEST_CASE("All failures are told, in whatever order the ends of actions are committed") {
  FiringsFixture fixture;
  auto first = fixture.end(0, false);
  auto second = fixture.end(1, false);
  fixture.commit(second);
  fixture.commit(first);
  auto third = fixture.end(2, true);
  fixture.commit(third);
  CHECK(fixture.told() == std::vector<std::string>{"0", "1"});
  CHECK(fixture.rows("s") == 0);
  CHECK(fixture.rows("m") == 0);
}

TEST_CASE("The last end may be committed before those that went before it") {
  FiringsFixture fixture;
  auto first = fixture.end(0, false);
  auto second = fixture.end(1, true);
  auto third = fixture.end(2, false);
  fixture.commit(third);
  fixture.commit(second);
  fixture.commit(first);
  CHECK(fixture.told() == std::vector<std::string>{"0", "2"});
  CHECK(fixture.rows("s") == 0);
  CHECK(fixture.rows("m") == 0);
}

TEST_CASE("What could not be resolved is told although the only other action went well") {
  EngineFixture fixture;
  fixture.create(
      "r",
      "SELECT v FROM 'in'",
      R"([{"iotcore": {"type": "file", "path": "ok.jsonl"}},
          {"republish": {"topic": "${nothing}"}}])",
      R"({"republish": {"topic": "errors", "qos": 1}})"
  );
  auto& watcher = fixture.connected("w");
  fixture.subscribe(watcher, "errors");
  auto& device = fixture.connected("d");
  fixture.publish(device, "in", R"({"v": 1})", Qos::kAtLeastOnce);
  CHECK(next_is_puback(device));
  fixture.deliver();
  const std::string told = next_payload(watcher);
  CHECK(told.find("RepublishAction") != std::string::npos);
  CHECK(fixture.rows(store::Table::kOutbox, "s") == 0);
  CHECK(fixture.rows(store::Table::kOutbox, "m") == 0);
}

}  // namespace
}  // namespace iotcore::rules
