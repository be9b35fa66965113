#include "rules/sink_queue.h"

#include "rules/keys.h"
#include "store/fault_store.h"
#include "store/memory_store.h"
#include "tests/unit/rules/engine_fixture.h"

#include <catch2/catch.hpp>

#include <deque>
#include <map>
#include <set>

namespace iotcore::rules {
namespace {

using namespace std::chrono_literals;
using test::ManualRunner;

// Says what the test has told it to say.
class ScriptedSink final : public Sink {
 public:
  struct Log {
    std::vector<std::vector<std::string>> batches;
    std::vector<std::string> delivered;
    std::set<std::string> poison;     // fails for now, each time
    std::set<std::string> permanent;  // fails for good
    std::set<std::string> own;        // fails by itself, each time
    std::set<std::string> stops;      // fails, and what is behind it is not tried
    Duration takes{0};                // each batch
    bool away = false;
    bool well = true;
    int probes = 0;
  };

  ScriptedSink(Log& log, ManualClock& clock) : log_(log), clock_(clock) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override {
    std::vector<std::string>& seen = log_.batches.emplace_back();
    clock_.advance(log_.takes);
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const std::string& payload = batch[i]->payload;
      seen.push_back(payload);
      if (log_.own.contains(payload)) {
        outcomes[i] = Outcome::retry_alone("not this", 1s);
      } else if (log_.away || log_.poison.contains(payload)) {
        outcomes[i] = Outcome::retry("away");
      } else if (log_.stops.contains(payload)) {
        outcomes[i] = Outcome::retry("stops");
        std::ranges::fill(outcomes.subspan(i + 1), Outcome::behind(outcomes[i]));
        return;
      } else if (log_.permanent.contains(payload)) {
        outcomes[i] = Outcome::permanent("never");
      } else {
        log_.delivered.push_back(payload);
      }
    }
  }

  Status probe() override {
    ++log_.probes;
    return log_.away || !log_.well ? Status(fail(Errc::kUnavailable, "away")) : Status();
  }

 private:
  Log& log_;
  ManualClock& clock_;
};

class EndLog final : public RecordEnds {
 public:
  void on_delivered(const std::string&, std::span<const std::unique_ptr<Record>>) override {}

  Function<void()> on_end(const std::string&, Record& record, const RecordEnd& end, store::Batch&)
      override {
    if (end.kind == RecordEnd::Kind::kFailed) {
      failed.emplace_back(record.payload, end.reason);
    } else if (end.kind == RecordEnd::Kind::kDropped) {
      dropped.push_back(record.payload);
    }
    return {};
  }

  std::vector<std::pair<std::string, std::string>> failed;
  std::vector<std::string> dropped;
};

struct QueueFixture {
  explicit QueueFixture(QueueOptions with = {}, std::size_t memory_bytes = 64U << 20)
      : options(with), memory(memory_bytes) {
    open();
  }

  void open() {
    outbox = std::make_unique<Outbox>(store);
    const auto waiting = outbox->open(clock.wall()).value();
    runner = std::make_unique<ManualRunner>(clock);
    queue = std::make_unique<SinkQueue>(
        "test x",
        std::make_unique<ScriptedSink>(log, clock),
        options,
        *outbox,
        *runner,
        ends,
        memory,
        clock,
        metrics
    );
    for (const Outbox::Waiting& one : waiting) {
      queue->resume(one.cursor);
    }
    queue->start();
  }

  void crash() {
    queue.reset();
    open();
  }

  static std::unique_ptr<Record> record(std::string payload) {
    auto made = std::make_unique<Record>();
    made->rule = "r";
    made->payload = std::move(payload);
    return made;
  }

  void push(std::string payload, std::uint32_t attempts_max = 0) {
    auto made = record(std::move(payload));
    made->attempts_max = attempts_max;
    made->received_ms = to_epoch_ms(clock.wall());
    queue->push(std::move(made));
  }

  void push_durable(std::string payload, std::chrono::milliseconds age_max = 0ms) {
    auto made = record(std::move(payload));
    made->age_max = age_max;
    made->received_ms = to_epoch_ms(clock.wall());
    store::Batch batch;
    made->sequence = queue->next_sequence(batch);
    Outbox::put(batch, queue->id(), *made);
    REQUIRE(store.commit_wait(std::move(batch)));
    queue->push(std::move(made));
  }

  void run() {
    while (runner->run()) {
    }
  }

  // Lets time pass until nothing is left to wait for, or that long.
  void pass(Duration time) {
    const MonotonicTime until = clock.now() + time;
    run();
    while (clock.now() < until) {
      clock.advance(std::max<Duration>(1ms, std::min(runner->next_timer(), until) - clock.now()));
      run();
    }
  }

  std::size_t stored() const {
    return const_cast<store::FaultStore&>(store)
        .scan(store::Table::kOutbox, "r", "", 100'000)
        .value()
        .size();
  }

  QueueOptions options;
  ScriptedSink::Log log;
  EndLog ends;
  ManualClock clock;
  Metrics metrics;
  MemoryBudget memory;
  store::MemoryStore memory_store;
  store::FaultStore store{memory_store};
  std::unique_ptr<Outbox> outbox;
  std::unique_ptr<ManualRunner> runner;
  std::unique_ptr<SinkQueue> queue;
};

std::vector<std::string> numbers(int first, int end) {
  std::vector<std::string> out;
  for (int i = first; i < end; ++i) {
    out.push_back(std::to_string(i));
  }
  return out;
}

TEST_CASE("What is pushed at once spills as a whole, and comes in its order") {
  QueueFixture fixture({.batch_size = 100}, 10'000);
  std::vector<std::string> expected;
  for (int round = 0; round < 20; ++round) {
    std::vector<std::unique_ptr<Record>> records;
    store::Batch batch;
    for (int i = 0; i < 7; ++i) {
      expected.push_back(std::to_string(expected.size()));
      auto made = QueueFixture::record(expected.back());
      made->sequence = fixture.queue->next_sequence(batch);
      Outbox::put(batch, fixture.queue->id(), *made);
      records.push_back(std::move(made));
    }
    REQUIRE(fixture.store.commit_wait(std::move(batch)));
    fixture.queue->push_all(records);
  }
  CHECK(fixture.queue->state().records == expected.size());
  fixture.run();
  CHECK(fixture.log.delivered == expected);
  CHECK(fixture.stored() == 0);
  CHECK(fixture.queue->state().bytes == 0);
}

TEST_CASE("A queue delivers in order, in batches of its size") {
  QueueFixture fixture({.batch_size = 4});
  for (const std::string& n : numbers(0, 10)) {
    fixture.push(n);
  }
  fixture.run();
  CHECK(fixture.log.delivered == numbers(0, 10));
  REQUIRE(fixture.log.batches.size() == 3);
  CHECK(fixture.log.batches[0].size() == 4);
  CHECK(fixture.log.batches[2].size() == 2);
  CHECK(fixture.queue->is_drained());
  CHECK(fixture.queue->state().records == 0);
}

TEST_CASE("A batch has no more bytes than allowed, but at least one record") {
  QueueFixture fixture({.batch_bytes = 10});
  fixture.push(std::string(50, 'a'));
  fixture.push(std::string(4, 'b'));
  fixture.push(std::string(4, 'c'));
  fixture.push(std::string(4, 'd'));
  fixture.run();
  REQUIRE(fixture.log.batches.size() == 3);
  CHECK(fixture.log.batches[1].size() == 2);
}

TEST_CASE("A queue lingers for company, but not when it is told to hurry") {
  QueueFixture fixture({.batch_size = 3, .linger = 100ms});
  fixture.push("0");
  fixture.run();
  CHECK(fixture.log.batches.empty());
  fixture.pass(50ms);
  fixture.push("1");
  CHECK(fixture.log.batches.empty());
  fixture.pass(50ms);
  CHECK(fixture.log.batches == std::vector<std::vector<std::string>>{{"0", "1"}});
  fixture.push("2");
  fixture.push("3");
  fixture.push("4");
  fixture.run();
  CHECK(fixture.log.batches.back() == numbers(2, 5));
  fixture.push("5");
  fixture.queue->hurry();
  fixture.run();
  CHECK(fixture.log.delivered.back() == "5");
}

TEST_CASE("A sink that goes away and comes back gets everything, once and in order") {
  QueueFixture fixture({.batch_size = 10});
  fixture.log.away = true;
  for (const std::string& n : numbers(0, 25)) {
    fixture.push_durable(n);
  }
  fixture.pass(10min);
  CHECK(fixture.log.delivered.empty());
  CHECK_FALSE(fixture.queue->state().up);
  CHECK(fixture.queue->state().last_error == "away");
  const std::size_t tried = fixture.log.batches.size();
  CHECK(tried < 20);  // then it only asks whether the sink is there
  CHECK(fixture.log.probes > 5);
  CHECK(fixture.stored() == 25);

  fixture.log.away = false;
  fixture.pass(61s);
  CHECK(fixture.log.delivered == numbers(0, 25));
  CHECK(fixture.queue->state().up);
  CHECK(fixture.ends.failed.empty());
  CHECK(fixture.stored() == 0);
}

TEST_CASE("A record in memory is given up after its attempts, a durable one after its time") {
  QueueFixture fixture;
  fixture.log.poison = {"memory", "durable"};
  fixture.log.well = false;
  fixture.push("memory", 3);
  fixture.pass(1h);
  REQUIRE(fixture.ends.failed.size() == 1);
  CHECK(fixture.ends.failed[0].second == "gave up after 3 attempts: away");

  fixture.push_durable("durable", 24h);
  fixture.pass(23h);
  CHECK(fixture.ends.failed.size() == 1);
  fixture.pass(2h);
  REQUIRE(fixture.ends.failed.size() == 2);
  CHECK(fixture.ends.failed[1].first == "durable");
  CHECK(fixture.stored() == 0);
}

TEST_CASE("A record that is refused for good holds up nobody") {
  QueueFixture fixture;
  fixture.log.permanent = {"1"};
  for (const std::string& n : numbers(0, 3)) {
    fixture.push_durable(n);
  }
  fixture.run();
  CHECK(fixture.log.delivered == std::vector<std::string>{"0", "2"});
  REQUIRE(fixture.ends.failed.size() == 1);
  CHECK(fixture.ends.failed[0] == std::pair<std::string, std::string>("1", "never"));
  CHECK(fixture.log.batches.size() == 1);
  CHECK(fixture.stored() == 0);
}

TEST_CASE("A record that is to wait alone keeps nobody waiting, and is given up after its attempts"
) {
  QueueFixture f({.batch_size = 2});
  f.log.own = {"own"};
  f.push("own", 3);
  for (const char* payload : {"a", "b", "c"}) {
    f.push(payload);
  }
  f.run();
  CHECK(f.log.delivered == std::vector<std::string>{"a", "b", "c"});
  CHECK(f.ends.failed.empty());
  f.pass(900ms);
  CHECK(f.log.batches.size() == 2);
  f.pass(10s);
  REQUIRE(f.ends.failed.size() == 1);
  CHECK(f.ends.failed[0].first == "own");
  CHECK(f.ends.failed[0].second == "gave up after 3 attempts: not this");
  CHECK(f.log.batches.size() == 4);
  CHECK(f.queue->state().up);
}

TEST_CASE("A record that fails while others succeed is set aside after three times") {
  QueueFixture fixture({.batch_size = 5});
  fixture.log.poison = {"1"};
  for (const std::string& n : numbers(0, 20)) {
    fixture.push_durable(n);
  }
  fixture.pass(10s);
  CHECK(fixture.log.delivered.size() == 19);
  CHECK(fixture.stored() == 1);
  CHECK(fixture.ends.failed.empty());
  const auto aside = [&](int records) {
    const std::string line =
        "iotcore_sink_aside_records{target=\"test x\"} " + std::to_string(records) + "\n";
    return fixture.metrics.to_text().find(line) != std::string::npos;
  };
  CHECK(aside(1));
  fixture.log.poison.clear();
  fixture.pass(2min);
  CHECK(fixture.log.delivered.back() == "1");
  CHECK(fixture.stored() == 0);
  CHECK(aside(0));
}

TEST_CASE("What is behind a record that fails keeps its place and its attempts") {
  QueueFixture fixture({.batch_size = 4});
  fixture.log.stops = {"1"};
  for (const std::string& payload : numbers(0, 4)) {
    fixture.push(payload, 3);
  }
  fixture.pass(10min);
  CHECK(fixture.log.delivered == std::vector<std::string>{"0", "2", "3"});
  REQUIRE(fixture.ends.failed.size() == 1);
  CHECK(fixture.ends.failed[0].first == "1");
}

TEST_CASE("Records set aside take turns with the others, however long each of them takes") {
  QueueFixture fixture({.batch_size = 1, .retry_max = 1s});
  fixture.log.takes = 10s;
  fixture.log.own = {"a", "b"};
  fixture.push("a");
  fixture.push("b");
  for (const std::string& payload : numbers(0, 5)) {
    fixture.push(payload);
  }
  for (int i = 0; i < 30 && fixture.log.delivered.size() < 5; ++i) {
    fixture.runner->run_one();
    fixture.clock.advance(100ms);
  }
  CHECK(fixture.log.delivered == numbers(0, 5));
}

TEST_CASE("Records set aside wait while the target is away, as the others do") {
  QueueFixture fixture({.batch_size = 1, .retry_base = 1s, .retry_max = 60s});
  for (const std::string& payload : numbers(0, 50)) {
    fixture.log.own.insert(payload);
    fixture.push(payload);
  }
  fixture.run();
  fixture.log.own.clear();
  fixture.log.away = true;
  fixture.push("x");
  fixture.pass(60s);
  fixture.log.batches.clear();
  fixture.log.probes = 0;
  fixture.pass(10min);
  // About one in 30 s, by chance more or less; if each of the fifty asked by itself, it would be hundreds.
  CHECK(fixture.log.probes <= 100);
  CHECK(fixture.log.batches.empty());
  fixture.log.away = false;
  fixture.pass(10min);
  CHECK(fixture.log.delivered.size() == 51);
}

TEST_CASE("When memory is short, no more is read while many are set aside") {
  QueueFixture fixture({.batch_size = 100, .retry_base = 60s, .retry_max = 60s}, 10'000);
  for (const std::string& payload : numbers(0, 6000)) {
    fixture.log.own.insert(payload);
    fixture.push_durable(payload);
  }
  fixture.run();
  std::size_t tried = 0;
  for (const std::vector<std::string>& batch : fixture.log.batches) {
    tried += batch.size();
  }
  CHECK(tried < 5000);
  fixture.log.own.clear();
  fixture.pass(30min);
  CHECK(fixture.log.delivered.size() == 6000);
  CHECK(fixture.stored() == 0);
}

TEST_CASE("What can't be read from the store is tried again until it can") {
  QueueFixture fixture({}, 100);
  fixture.push("in memory");
  fixture.push_durable("1");
  fixture.store.break_reads(Error(Errc::kStoreIo, "unreadable"));
  fixture.push_durable("2");
  fixture.run();
  fixture.pass(10s);
  fixture.store.mend();
  fixture.pass(10s);
  CHECK(fixture.log.delivered == std::vector<std::string>{"in memory", "1", "2"});
}

TEST_CASE("A record that spoils its whole batch is found by sending each alone") {
  QueueFixture fixture({.batch_size = 4});

  class Spoiled final : public Sink {
   public:
    explicit Spoiled(ScriptedSink::Log& log) : log_(log) {}

    void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override {
      for (const Record* record : batch) {
        if (record->payload == "2") {
          for (Outcome& outcome : outcomes) {
            outcome = Outcome::retry("spoiled");
          }
          return;
        }
      }
      for (const Record* record : batch) {
        log_.delivered.push_back(record->payload);
      }
    }

    Status probe() override { return {}; }

   private:
    ScriptedSink::Log& log_;
  };

  fixture.queue.reset();
  fixture.runner = std::make_unique<ManualRunner>(fixture.clock);  // tasks of the first queue go
  fixture.queue = std::make_unique<SinkQueue>(
      "test x",
      std::make_unique<Spoiled>(fixture.log),
      fixture.options,
      *fixture.outbox,
      *fixture.runner,
      fixture.ends,
      fixture.memory,
      fixture.clock,
      fixture.metrics
  );
  fixture.queue->start();
  for (const std::string& n : numbers(0, 8)) {
    fixture.push(n);
  }
  fixture.pass(2min);
  CHECK(fixture.log.delivered.size() == 7);
  CHECK_FALSE(fixture.queue->is_drained());
}

TEST_CASE("What was committed is delivered after a crash, in order, however the crash comes") {
  QueueFixture fixture({.batch_size = 3});
  fixture.log.away = true;
  for (const std::string& n : numbers(0, 7)) {
    fixture.push_durable(n);
  }
  fixture.crash();
  for (const std::string& n : numbers(7, 10)) {
    fixture.push_durable(n);
  }
  fixture.pass(5s);
  fixture.crash();
  CHECK(fixture.stored() == 10);
  fixture.log.away = false;
  fixture.push_durable("10");
  fixture.pass(1min);
  CHECK(fixture.log.delivered == numbers(0, 11));
  CHECK(fixture.stored() == 0);
  CHECK(fixture.queue->state().records == 0);
  CHECK(fixture.queue->state().bytes == 0);
  fixture.crash();
  fixture.pass(1min);
  CHECK(fixture.log.delivered.size() == 11);
}

TEST_CASE("When memory is short, durable records wait in the store alone and keep their order") {
  QueueFixture fixture({.batch_size = 100}, 20'000);
  fixture.log.away = true;
  for (const std::string& n : numbers(0, 5000)) {
    fixture.push_durable(n);
  }
  fixture.run();
  fixture.log.away = false;
  fixture.pass(2min);
  CHECK(fixture.log.delivered == numbers(0, 5000));
  CHECK(fixture.stored() == 0);
  CHECK_FALSE(fixture.memory.is_full());
}

TEST_CASE("A full queue drops what nobody waits for and holds back acknowledgements") {
  class Ack final : public broker::PendingAck {
   public:
    Ack() : PendingAck(&Ack::complete) {}

    static void complete(PendingAck& self, std::optional<Errc> failure) {
      static_cast<Ack&>(self).sent = !failure;
    }

    bool sent = false;
  };

  QueueFixture fixture({.batch_size = 1, .bytes_max = 1000});
  fixture.log.away = true;
  for (const std::string& n : numbers(0, 3)) {
    fixture.push_durable(n + std::string(400, '.'));
  }
  Ack ack;
  fixture.queue->hold_while_full(ack.hold());
  fixture.push("lost");
  fixture.pass(1s);
  CHECK(fixture.ends.dropped == std::vector<std::string>{"lost"});
  CHECK_FALSE(ack.sent);
  fixture.log.away = false;
  fixture.pass(2min);
  CHECK(ack.sent);
  CHECK(fixture.log.delivered.size() == 3);

  Ack at_once;
  fixture.queue->hold_while_full(at_once.hold());
  CHECK(at_once.sent);
}

TEST_CASE("A full queue lets the oldest or the newest fail, as it is told") {
  for (const OnFull on_full : {OnFull::kDropOldest, OnFull::kDropNew}) {
    QueueFixture fixture({.batch_size = 1, .bytes_max = 2000, .on_full = on_full});
    fixture.log.away = true;
    for (const std::string& n : numbers(0, 6)) {
      fixture.push_durable(n + std::string(500, '.'));
      fixture.run();
    }
    REQUIRE_FALSE(fixture.ends.failed.empty());
    CHECK(fixture.ends.failed[0].second == "the queue is full");
    const char first = fixture.ends.failed[0].first[0];
    CHECK((on_full == OnFull::kDropOldest ? first < '3' : first > '1'));
  }
}

TEST_CASE("What follows a commit waits for it, and is dropped when the queue goes first") {
  class Following final : public RecordEnds {
   public:
    void on_delivered(const std::string&, std::span<const std::unique_ptr<Record>>) override {}

    Function<void()> on_end(const std::string&, Record&, const RecordEnd&, store::Batch& batch)
        override {
      batch.put(store::Table::kOutbox, "x", "y");
      return [this] { ++followed; };
    }

    int followed = 0;
  };

  for (const bool goes_first : {false, true}) {
    ManualClock clock;
    Metrics metrics;
    MemoryBudget memory(1U << 20);
    store::MemoryStore memory_store;
    store::FaultStore store(memory_store);
    Outbox outbox(store);
    REQUIRE(outbox.open(clock.wall()));
    auto runner = std::make_unique<ManualRunner>(clock);
    ScriptedSink::Log log;
    Following ends;
    auto queue = std::make_unique<SinkQueue>(
        "test x",
        std::make_unique<ScriptedSink>(log, clock),
        QueueOptions(),
        outbox,
        *runner,
        ends,
        memory,
        clock,
        metrics
    );
    queue->start();
    auto record = QueueFixture::record("1");
    record->message_id = "m";  // whose firing waits for its end
    queue->push(std::move(record));
    store.hold();
    runner->run();
    CHECK(log.delivered == numbers(1, 2));
    CHECK(ends.followed == 0);
    if (goes_first) {
      queue.reset();
      runner.reset();
    }
    store.release();
    if (runner) {
      runner->run();
    }
    CHECK(ends.followed == (goes_first ? 0 : 1));
  }
}

TEST_CASE("A queue goes on with another sink when its target has changed") {
  QueueFixture fixture({.batch_size = 2});
  ScriptedSink::Log other;
  fixture.log.away = true;
  for (const std::string& n : numbers(0, 3)) {
    fixture.push_durable(n);
  }
  fixture.pass(1min);
  CHECK_FALSE(fixture.queue->state().up);
  fixture.queue->set_sink(std::make_unique<ScriptedSink>(other, fixture.clock));
  fixture.run();
  CHECK(other.delivered == numbers(0, 3));
  CHECK(fixture.queue->state().up);
}

TEST_CASE("A queue without a sink keeps what it has, and fails it when its target has gone for good"
) {
  QueueFixture fixture({.batch_size = 2}, 20'000);
  ScriptedSink::Log other;
  fixture.queue->set_sink(nullptr);
  for (const std::string& n : numbers(0, 2500)) {
    fixture.push_durable(n);
  }
  fixture.pass(1min);
  CHECK_FALSE(fixture.queue->has_sink());
  CHECK(fixture.queue->state().last_error == "its target is not known");
  CHECK(fixture.stored() == 2500);
  fixture.queue->abandon("there is no target 'x'");
  fixture.pass(1min);
  CHECK(fixture.stored() == 0);
  REQUIRE(fixture.ends.failed.size() == 2500);
  CHECK(fixture.ends.failed[2499].second == "there is no target 'x'");
  fixture.push("late");
  fixture.run();
  CHECK(fixture.ends.failed.size() == 2501);
  fixture.queue->set_sink(std::make_unique<ScriptedSink>(other, fixture.clock));
  fixture.push("again");
  fixture.run();
  CHECK(other.delivered == std::vector<std::string>{"again"});
  CHECK(fixture.log.delivered.empty());
  CHECK_FALSE(fixture.memory.is_full());
}

TEST_CASE("Sequence sets keep ranges") {
  SequenceSet set;
  set.add(5);
  set.add(7);
  set.add(6);
  CHECK(set.front() == SequenceRange{5, 8});
  set.add(SequenceRange{10, 20});
  set.add(SequenceRange{8, 12});
  CHECK(set.front() == SequenceRange{5, 20});
  set.erase_below(9);
  CHECK(set.front() == SequenceRange{9, 20});
  CHECK_FALSE(set.contains(8));
  CHECK(set.contains(9));
  CHECK_FALSE(set.contains(20));
  set.add(30);
  set.keep_highest(1);
  CHECK(set.front() == SequenceRange{30, 31});
}

}  // namespace
}  // namespace iotcore::rules
