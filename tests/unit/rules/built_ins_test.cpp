#include "rules/built_ins.h"

#include "rules/http_outcome.h"
#include "rules/series/retention.h"
#include "rules/series/series_store.h"
#include "store/fault_store.h"
#include "store/memory_store.h"
#include "tests/unit/rules/engine_fixture.h"

#include <catch2/catch.hpp>

namespace iotcore::rules {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

TEST_CASE("a URL is below a confirmation URL only on the same host") {
  CHECK(is_below("https://a.com/x", "https://a.com"));
  CHECK(is_below("https://a.com", "https://a.com"));
  CHECK(is_below("https://a.com?x", "https://a.com"));
  CHECK(is_below("https://a.com/in/x", "https://a.com/in"));
  CHECK_FALSE(is_below("https://a.com.evil/x", "https://a.com"));
  CHECK_FALSE(is_below("https://a.com:81/x", "https://a.com"));
  CHECK_FALSE(is_below("https://a.com@evil/x", "https://a.com"));
  CHECK_FALSE(is_below("http://a.com/x", "https://a.com/"));
  CHECK_FALSE(is_below("https://a.com/", ""));
}

TEST_CASE("what an answer means for a record") {
  const auto kind = [](int status, std::size_t bytes = 0) {
    net::HttpResponse response;
    response.status = static_cast<std::uint16_t>(status);
    response.body.assign(bytes, 'x');
    return outcome_of_call(response).kind;
  };
  CHECK(kind(200) == Outcome::Kind::kDelivered);
  CHECK(kind(204, 100'000) == Outcome::Kind::kDelivered);
  for (const int status : {408, 429, 500, 503}) {
    CHECK(kind(status) == Outcome::Kind::kRetry);
    CHECK(kind(status, 16'384) == Outcome::Kind::kRetry);
    CHECK(kind(status, 16'385) == Outcome::Kind::kPermanent);
  }
  for (const int status : {301, 302, 400, 401, 404, 413}) {
    CHECK(kind(status) == Outcome::Kind::kPermanent);
  }
  net::HttpResponse later;
  later.status = 503;
  later.headers.set("Retry-After", "7");
  CHECK(outcome_of_call(later).retry_after == seconds(7));
  CHECK(outcome_of_call(fail(Errc::kTimeout, "t")).kind == Outcome::Kind::kRetry);
  CHECK(outcome_of_call(fail(Errc::kForbidden, "f")).kind == Outcome::Kind::kPermanent);
}

// Queues

struct Queues {
  ManualClock clock;
  store::MemoryStore store;
  MessageQueues::Limits limits{.messages_max = 5, .queues_max = 2};
  std::unique_ptr<MessageQueues> queues;

  Queues() { start(); }

  void start() {
    queues.reset();
    queues = std::make_unique<MessageQueues>(store, clock, limits);
    REQUIRE(queues->load());
  }

  Status send(std::string_view queue, std::vector<std::string_view> bodies) {
    const auto sent = queues->send(queue, bodies);
    return sent ? Status() : fail(sent.error());
  }

  std::vector<MessageQueues::Message> receive(
      std::string_view queue, std::size_t count = 10, seconds hidden = seconds(30)
  ) {
    std::vector<MessageQueues::Message> messages;
    queues->receive(queue, count, hidden, seconds(0), [&](auto got) { messages = got.value(); });
    return messages;
  }

  std::string bodies(std::string_view queue, std::size_t count = 10) {
    std::string all;
    for (const MessageQueues::Message& message : receive(queue, count)) {
      all += message.body;
    }
    return all;
  }
};

TEST_CASE("a queue hides what was received until its time is over, and keeps it until it is deleted"
) {
  Queues test;
  REQUIRE(test.send("q", {"a", "b", "c"}));
  const auto first = test.receive("q", 1);
  REQUIRE(first.size() == 1);
  CHECK(first[0].body == "a");
  CHECK(test.bodies("q") == "bc");
  CHECK(test.bodies("q").empty());
  CHECK(test.queues->counts("q").value().hidden == 3);
  test.clock.advance(seconds(31));
  const auto again = test.receive("q");
  REQUIRE(again.size() == 3);
  CHECK(again[0].receives == 2);
  CHECK(again[0].first_received_ms == first[0].first_received_ms);
  CHECK(test.queues->erase("q", first[0].receipt));  // an old receipt: nothing happens
  CHECK(test.queues->counts("q").value().hidden == 3);
  CHECK(test.queues->erase("q", again[0].receipt));
  CHECK(test.queues->set_visibility("q", again[1].receipt, seconds(0)));
  CHECK(test.bodies("q") == "b");
  CHECK_FALSE(test.queues->set_visibility("q", again[0].receipt, seconds(0)));
  CHECK_FALSE(test.queues->erase("q", "zz"));
  CHECK(test.queues->erase("none", again[0].receipt).error().code() == Errc::kNotFound);
}

TEST_CASE("a queue comes back with all that was not deleted") {
  Queues test;
  REQUIRE(test.send("q", {"a", "b"}));
  REQUIRE(test.queues->create("empty"));
  REQUIRE(test.queues->erase("q", test.receive("q", 1)[0].receipt));
  test.start();
  CHECK(test.queues->list("") == std::vector<std::string>{"empty", "q"});
  REQUIRE(test.send("q", {"c"}));
  CHECK(test.bodies("q") == "bc");
  REQUIRE(test.queues->purge("q"));
  test.start();
  CHECK(test.bodies("q").empty());
  REQUIRE(test.queues->remove("q"));
  test.start();
  CHECK(test.queues->list("q").empty());
}

TEST_CASE("a queue whose making failed is made by the next message that is kept") {
  Queues test;
  store::FaultStore fault(test.store);
  test.queues = std::make_unique<MessageQueues>(fault, test.clock, test.limits);
  fault.break_writes(Error(Errc::kStoreIo, "full"));
  CHECK_FALSE(test.send("q", {"a"}));
  fault.mend();
  REQUIRE(test.send("q", {"b"}));
  test.start();
  CHECK(test.bodies("q") == "b");
}

TEST_CASE("a queue whose change is not kept is as it was") {
  Queues test;
  REQUIRE(test.send("q", {"a", "b"}));
  store::FaultStore fault(test.store);
  test.queues = std::make_unique<MessageQueues>(fault, test.clock, test.limits);
  REQUIRE(test.queues->load());
  fault.break_writes(Error(Errc::kStoreIo, "full"));
  CHECK_FALSE(test.queues->purge("q"));
  CHECK_FALSE(test.queues->remove("q"));
  CHECK(test.queues->list("") == std::vector<std::string>{"q"});
  const auto first = test.receive("q", 1);
  REQUIRE(first.size() == 1);
  CHECK_FALSE(test.queues->erase("q", first[0].receipt));
  test.clock.advance(seconds(31));
  CHECK(test.bodies("q") == "ba");
  fault.mend();
  CHECK(test.queues->purge("q"));
  CHECK(test.queues->counts("q").value().hidden == 0);
  CHECK(test.queues->remove("q"));
  CHECK(test.queues->list("").empty());
}

TEST_CASE("a queue has limits: messages, their age, names, and how many there are") {
  Queues test;
  CHECK(test.send("q", {"1", "2", "3", "4", "5"}));
  CHECK(test.send("q", {"6"}).error().code() == Errc::kQuotaExceeded);
  test.clock.advance(hours(4 * 24) + seconds(1));
  CHECK(test.bodies("q").empty());
  CHECK(test.send("q", {"6"}));
  CHECK(test.bodies("q") == "6");
  CHECK(test.queues->create("r"));
  CHECK(test.queues->create("s").error().code() == Errc::kQuotaExceeded);
  CHECK(test.queues->create("a b").error().code() == Errc::kInvalidRequest);
  CHECK(MessageQueues::name_in("https://h/0/q-1_x").value() == "q-1_x");
  for (const std::string& bad :
       {std::string("https://h/q.fifo"), std::string("h/"), std::string(81, 'q')}) {
    CHECK_FALSE(MessageQueues::name_in(bad));
  }
}

// Destinations

class NoThread final : public Executor {
 public:
  void post(Function<void()> /*task*/) override { ++posted; }

  int posted = 0;
};

struct Places {
  ManualClock clock;
  store::MemoryStore store;
  store::FaultStore fault{store};
  NoThread pool;
  bool confirmation_required = true;
  std::unique_ptr<Destinations> destinations;

  Places() { start(); }

  void start() {
    destinations = std::make_unique<Destinations>(
        fault,
        clock,
        pool,
        Destinations::Options{
            .arn_prefix = "arn:aws:iot:r:a:",
            .confirmation_required = confirmation_required,
            .origin = {},
            .http = {}}
    );
    REQUIRE(destinations->load());
  }

  record::RuleDestination create(const std::string& url) {
    record::RuleDestination destination;
    destination.set_kind("http");
    destination.set_confirmation_url(url);
    return destinations->create(destination).value();
  }
};

TEST_CASE("a destination is enabled by its token, once, and remembered") {
  Places test;
  const record::RuleDestination made = test.create("https://a.com/in");
  const std::string arn = test.destinations->arn_of(made);
  CHECK(made.status() == "IN_PROGRESS");
  CHECK(test.pool.posted == 1);
  CHECK(test.destinations->check("https://a.com/in/x").error().code() == Errc::kForbidden);
  CHECK_FALSE(test.destinations->update(arn, "ENABLED"));
  CHECK_FALSE(test.destinations->update(arn, "ERROR"));
  CHECK_FALSE(test.destinations->confirm("another"));
  CHECK_FALSE(test.destinations->confirm(""));
  test.start();
  REQUIRE(test.destinations->confirm(made.token()));
  CHECK(test.destinations->confirm(made.token()).error().code() == Errc::kUnauthorized);
  CHECK(test.destinations->check("https://a.com/in/x"));
  CHECK_FALSE(test.destinations->check("https://a.com/out"));
  REQUIRE(test.destinations->update(arn, "DISABLED"));
  CHECK_FALSE(test.destinations->check("https://a.com/in/x"));
  REQUIRE(test.destinations->update(arn, "ENABLED"));
  test.start();
  CHECK(test.destinations->check("https://a.com/in/x"));
  CHECK(test.destinations->ensure("https://a.com/in"));
  CHECK(test.destinations->list("", 10).size() == 1);
  REQUIRE(test.destinations->remove(arn));
  CHECK(test.destinations->get(arn).error().code() == Errc::kUnauthorized);
  test.start();
  CHECK(test.destinations->list("", 10).empty());
}

TEST_CASE("a destination that nobody confirms is in error after three days, and can be asked again"
) {
  Places test;
  const record::RuleDestination made = test.create("https://a.com/");
  const std::string arn = test.destinations->arn_of(made);
  test.clock.advance(hours(3 * 24));
  CHECK(test.destinations->get(arn).value().status() == "IN_PROGRESS");
  test.clock.advance(seconds(1));
  CHECK(test.destinations->get(arn).value().status() == "ERROR");
  CHECK_FALSE(test.destinations->confirm(made.token()));
  REQUIRE(test.destinations->update(arn, "IN_PROGRESS"));
  CHECK(test.pool.posted == 2);
  const record::RuleDestination again = test.destinations->get(arn).value();
  CHECK(again.token() != made.token());
  CHECK(test.destinations->confirm(again.token()));
}

TEST_CASE("a destination whose change is not kept is as it was") {
  Places test;
  const record::RuleDestination made = test.create("https://a.com/");
  const std::string arn = test.destinations->arn_of(made);
  test.fault.break_writes(Error(Errc::kStoreIo, "full"));
  record::RuleDestination other;
  other.set_kind("http");
  other.set_confirmation_url("https://b.com/");
  CHECK_FALSE(test.destinations->create(other));
  CHECK(test.destinations->list("", 10).size() == 1);
  CHECK_FALSE(test.destinations->confirm(made.token()));
  CHECK(test.destinations->get(arn).value().status() == "IN_PROGRESS");
  CHECK_FALSE(test.destinations->update(arn, "IN_PROGRESS"));
  CHECK(test.destinations->get(arn).value().token() == made.token());
  CHECK_FALSE(test.destinations->remove(arn));
  CHECK_FALSE(test.destinations->wipe());
  CHECK(test.destinations->get(arn));
  test.fault.mend();
  CHECK(test.destinations->create(other));
  REQUIRE(test.destinations->confirm(made.token()));
  test.fault.break_writes(Error(Errc::kStoreIo, "full"));
  CHECK_FALSE(test.destinations->update(arn, "DISABLED"));
  CHECK(test.destinations->check("https://a.com/x"));
}

TEST_CASE("without confirmation a destination is enabled at once") {
  Places test;
  test.confirmation_required = false;
  test.start();
  CHECK(test.create("https://a.com/").status() == "ENABLED");
  CHECK(test.pool.posted == 0);
}

TEST_CASE("times of points are taken in their units, within what nanoseconds can say") {
  CHECK(series::to_nanoseconds("1700000000", "SECONDS").value() == 1'700'000'000'000'000'000);
  CHECK(series::to_nanoseconds("5", "us").value() == 5'000);
  CHECK(series::to_nanoseconds("-1", "NANOSECONDS").value() == -1);
  CHECK_FALSE(series::to_nanoseconds("9223372036855", "ms"));
  CHECK_FALSE(series::to_nanoseconds("1.5", "s"));
  CHECK_FALSE(series::to_nanoseconds("", "s"));
  CHECK_FALSE(series::to_nanoseconds("1", "DAYS"));
}

TEST_CASE("metrics of rules stop at their number of series") {
  Metrics metrics;
  MetricSeries series(metrics);
  for (std::size_t i = 0; i < MetricSeries::kSeriesMax; ++i) {
    REQUIRE(series.observe({"s", std::to_string(i), "u"}, 1));
  }
  CHECK(series.observe({"s", "one more", "u"}, 1).error().code() == Errc::kLimitExceeded);
  CHECK(series.observe({"s", "7", "u"}, 2.5));
  CHECK(
      metrics.to_text().find("iotcore_cloudwatch_sum{metric=\"7\",namespace=\"s\",unit=\"u\"} 3.5"
      ) != std::string::npos
  );
}

TEST_CASE("series are kept for as long as their target says") {
  const test::TempFolder folder;
  const std::filesystem::path file = folder.path() / series::kFileName;
  constexpr std::int64_t kDayNs = 86'400'000'000'000;
  {
    auto database = series::SqliteDatabase::open(file);
    REQUIRE(database);
    REQUIRE((*database)->run(series::kSchema));
    REQUIRE((*database)->run("BEGIN"));
    for (const std::string_view table : {"short", "long", "other"}) {
      for (std::int64_t i = 0; i < 12'000; ++i) {
        series::PointView point{"plant", table, "v", i * kDayNs / 1000, "{}", i};
        REQUIRE(series::write_point(**database, point));
      }
    }
    for (std::int64_t day = 0; day < 12; ++day) {
      REQUIRE(series::write_position(**database, {"fleet", "d", day * kDayNs, 1, 2}));
    }
    REQUIRE((*database)->run("COMMIT"));
  }
  Targets targets;
  const auto now = WallTime(std::chrono::hours(24 * 12));
  CHECK(drop_old_points(file, targets, now).value() == 0);
  const auto keep = [](const char* name, const char* match, const char* how_long) {
    return check_target({name, "series", {{"match", match}, {"keep", how_long}}, "", ""}).value();
  };
  REQUIRE(targets.replace(
      "",
      {keep("all", "plant.*", "6d"),
       keep("long", "plant.long", "24h"),
       keep("fleet", "location.*", "2d")}
  ));
  // 6 of 12 days of two tables, 11 of one, and 10 of 12 positions.
  CHECK(drop_old_points(file, targets, now).value() == 6000 + 6000 + 11'000 + 10);
  CHECK(drop_old_points(file, targets, now).value() == 0);
  CHECK(drop_old_points(folder.path() / "none.db", targets, now).value() == 0);
  CHECK_FALSE(check_target({"x", "series", {{"match", "a"}}, "", ""}));
  CHECK_FALSE(check_target({"x", "series", {{"keep", "1d"}}, "", ""}));
}

}  // namespace
}  // namespace iotcore::rules
