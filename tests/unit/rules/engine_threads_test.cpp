#include "base/thread_pool.h"
#include "broker/quiescent.h"
#include "rules/actions/sqlite_database.h"
#include "tests/unit/rules/engine_fixture.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <iterator>
#include <optional>
#include <thread>

// The engine on real threads: for the thread sanitizer above all.
namespace iotcore::rules {
namespace {

using namespace std::chrono_literals;

// A thread that ends its turn after each task.
class WorkerThread final : public Executor {
 public:
  void serve(broker::Broker& broker, broker::WorkerBroker& worker) {
    broker_ = &broker;
    worker_ = &worker;
    pool_->post([this] { worker_->bind_to_thread(); });
  }

  // Ends what was posted, then the thread.
  void join() { pool_.reset(); }

  void post(Function<void()> task) override {
    pool_->post([this, task = std::move(task)]() mutable {
      broker_->quiescent().online(worker_->id());
      task();
      worker_->end_turn();
      task = {};
      broker_->quiescent().offline(worker_->id());
    });
  }

 private:
  broker::Broker* broker_ = nullptr;
  broker::WorkerBroker* worker_ = nullptr;
  std::optional<ThreadPool> pool_{std::in_place, "worker", 1};
};

class ThreadWorkers final : public broker::Workers {
 public:
  std::size_t count() const override { return 2; }

  Executor& executor(WorkerId id) override { return threads_[index(id)]; }

  broker::WorkerBroker& broker(WorkerId id) override { return *brokers_[index(id)]; }

  Executor& blocking() override { return blocking_; }

  // To be called before the broker goes.
  void join() {
    for (WorkerThread& thread : threads_) {
      thread.join();
    }
  }

  void serve(broker::Broker& broker) {
    for (std::size_t i = 0; i < 2; ++i) {
      brokers_[i] = std::make_unique<broker::WorkerBroker>(broker, WorkerId(i), timers_[i]);
      threads_[i].serve(broker, *brokers_[i]);
    }
  }

 private:
  TimerWheel timers_[2];
  ThreadPool blocking_{"blocking", 1};
  std::unique_ptr<broker::WorkerBroker> brokers_[2];
  WorkerThread threads_[2];
};

class CountedAck final : public broker::PendingAck, public broker::AckSource {
 public:
  explicit CountedAck(std::atomic<int>& acks) : PendingAck(&CountedAck::complete), acks_(acks) {}

  PendingAck& make() override { return *this; }

  void now() {
    ++acks_;
    delete this;
  }

 private:
  static void complete(PendingAck& self, std::optional<Errc> failure) {
    auto& ack = static_cast<CountedAck&>(self);
    ack.acks_ += failure ? 0 : 1;
    delete &ack;
  }

  std::atomic<int>& acks_;
};

TEST_CASE("Workers publish, rules change and sinks deliver at the same time, and nothing is lost") {
  constexpr int kMessages = 400;
  const test::TempFolder folder;
  SystemClock clock;
  Metrics metrics;
  store::MemoryStore store;
  broker::test::TestAuthorizer authorizer;
  ThreadWorkers workers;
  broker::Broker broker({}, workers, store, authorizer, clock, metrics);
  workers.serve(broker);
  EngineOptions options;
  options.sink_folder = folder.path();
  options.sink_threads = 2;
  auto engine = std::make_unique<Engine>(broker, store, options);
  REQUIRE(engine->load());
  engine->start();
  const auto create = [&](std::string_view name, std::string_view sql, std::string_view actions) {
    return engine->catalog().create(test::EngineFixture::rule(
        name, sql, actions, R"({"republish": {"topic": "error", "qos": 1}})"
    ));
  };
  REQUIRE(create(
      "all",
      "SELECT n FROM 'in/+'",
      R"([{"iotcore": {"type": "sqlite", "file": "a.db", "table": "t"}},
          {"republish": {"topic": "again/${topic(2)}", "qos": 1}}])"
  ));
  REQUIRE(create(
      "again",
      "SELECT n AS m FROM 'again/+'",
      R"([{"iotcore": {"type": "sqlite", "file": "b.db", "table": "t"}},
          {"iotcore": {"type": "sqlite", "file": "b.db", "statement": "nonsense"}}])"
  ));
  REQUIRE(create(
      "errors",
      "SELECT ruleName FROM 'error'",
      R"([{"iotcore": {"type": "file", "path": "errors"}}])"
  ));

  std::atomic<int> acks = 0;
  std::atomic<bool> stop = false;
  std::thread changes([&] {
    for (int i = 0; !stop; ++i) {
      const std::string name = fmt::format("r{}", i % 5);
      static_cast<void>(create(name, "SELECT 1 FROM 'in/+' WHERE n < 0", "[]"));
      static_cast<void>(engine->catalog().set_enabled(name, i % 3 == 0));
      static_cast<void>(engine->catalog().erase(name));
    }
  });
  for (int i = 0; i < kMessages; ++i) {
    const auto worker = static_cast<WorkerId>(i % 2);
    workers.executor(worker).post([&, worker, i] {
      const std::string payload = fmt::format(R"({{"n": {}}})", i);
      broker::PublishView publish;
      publish.topic = worker == WorkerId(0) ? "in/a" : "in/b";
      publish.payload = payload;
      publish.qos = broker::Qos::kAtLeastOnce;
      auto* ack = new CountedAck(acks);
      if (!workers.broker(worker).publish({}, publish, ack).deferred) {
        ack->now();
      }
    });
  }
  const auto until = clock.now() + 60s;
  const auto waiting = [&] { return store.scan(store::Table::kOutbox, "r", "", 1).value().size(); };
  while ((acks < kMessages || waiting() != 0) && clock.now() < until) {
    std::this_thread::sleep_for(1ms);
  }
  stop = true;
  changes.join();
  engine->stop(10s);
  engine.reset();
  workers.join();
  CHECK(acks == kMessages);
  for (const char* file : {"a.db", "b.db"}) {
    auto database = actions::SqliteDatabase::open(folder.path() / file).value();
    auto* statement = database->prepare("SELECT count(*) FROM t").value();
    REQUIRE(statement->step().value());
    CHECK(statement->integer(0) == kMessages);
  }
  std::ifstream errors(folder.path() / "errors");
  CHECK(std::count(std::istreambuf_iterator<char>(errors), {}, '\n') >= kMessages);
  for (const char* left : {"r", "m", "s"}) {
    CHECK(store.scan(store::Table::kOutbox, left, "", 10).value().empty());
  }
}

}  // namespace
}  // namespace iotcore::rules
