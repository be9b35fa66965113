#pragma once

#include "base/json.h"
#include "rules/engine.h"
#include "tests/unit/broker/broker_fixture.h"

#include <atomic>
#include <deque>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <unistd.h>
#include <vector>

namespace iotcore::rules::test {

namespace fs = std::filesystem;
using broker::Qos;
using broker::test::TestClient;

// A folder that is gone with it.
class TempFolder {
 public:
  TempFolder() {
    std::string name = (fs::temp_directory_path() / "iotcore-rules-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }

  ~TempFolder() { fs::remove_all(path_); }

  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// Runs the work of sinks when it is told to, by the clock of the test.
class ManualRunner final : public SinkRunner {
 public:
  explicit ManualRunner(const Clock& clock) : clock_(clock) {}

  void post(Function<void()> task) override {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }

  void post_at(MonotonicTime at, Function<void()> task) override {
    const std::lock_guard lock(mutex_);
    timers_.schedule(at, [this, task = std::move(task)]() mutable {
      tasks_.push_back(std::move(task));
    });
  }

  // False: there was nothing to do.
  bool run() {
    bool any = false;
    for (Function<void()> task = take(); task; task = take()) {
      task();
      any = true;
    }
    return any;
  }

  // One task at most; for what would go on for ever.
  void run_one() {
    if (Function<void()> task = take()) {
      task();
    }
  }

  // When something waits for a time.
  MonotonicTime next_timer() const { return timers_.next(); }

 private:
  Function<void()> take() {
    const std::lock_guard lock(mutex_);
    timers_.advance(clock_.now());
    if (tasks_.empty()) {
      return {};
    }
    Function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    return task;
  }

  const Clock& clock_;
  std::mutex mutex_;
  std::deque<Function<void()>> tasks_;
  TimerWheel timers_;
};

// A broker with rules, in memory but for what sinks write.
class EngineFixture : public broker::test::BrokerFixture {
 public:
  EngineFixture() { start(); }

  // Begins anew with what the store has, as after a crash.
  void restart() {
    engine.reset();
    start();
  }

  void start() {
    EngineOptions options;
    options.sink_folder = folder.path() / "sinks";
    options.external = external;
    options.roles = roles;
    options.files_win = files_win;
    options.deferred_waiting_max = deferred_waiting_max;
    options.descriptor_folders = {folder.path() / "descriptors"};
    options.disk_folder = folder.path();
    options.disk_free_min_percent = disk_free_min_percent;
    auto own = std::make_unique<ManualRunner>(clock);
    runner = own.get();
    engine = std::make_unique<Engine>(*broker, *fault, options, std::move(own));
    const Status loaded = engine->load();
    if (!loaded) {
      throw std::runtime_error(loaded.error().message());
    }
    engine->start();
  }

  // Sinks deliver, and what follows from that happens. On a thread of their own, since some wait for the broker.
  void deliver() {
    std::atomic<bool> any = true;
    while (any) {
      settle();
      std::atomic<bool> done = false;
      std::thread sinks([&] {
        any = runner->run();
        done = true;
      });
      while (!done) {
        settle();
      }
      sinks.join();
    }
    settle();
  }

  void pass(Duration time) {
    clock.advance(time);
    deliver();
  }

  static RuleDefinition rule(
      std::string_view name,
      std::string_view sql,
      std::string_view actions,
      std::string_view error = ""
  ) {
    json::object payload;
    payload["sql"] = sql;
    payload["awsIotSqlVersion"] = "2016-03-23";
    payload["actions"] = parse_json(actions).value();
    if (!error.empty()) {
      payload["errorAction"] = parse_json(error).value();
    }
    return from_topic_rule_payload(name, payload).value();
  }

  void create(
      std::string_view name,
      std::string_view sql,
      std::string_view actions,
      std::string_view error = ""
  ) {
    const Status made = engine->catalog().create(rule(name, sql, actions, error));
    if (!made) {
      throw std::runtime_error(made.error().message());
    }
  }

  std::size_t rows(store::Table table, std::string_view prefix) {
    return store.scan(table, prefix, "", 100'000).value().size();
  }

  // Records waiting in the outbox.
  std::size_t waiting() { return rows(store::Table::kOutbox, "r"); }

  TempFolder folder;
  sql::ExternalFunctions* external = nullptr;
  std::size_t deferred_waiting_max = 1000;
  std::vector<std::string> roles;  // rules.roles
  bool files_win = true;
  unsigned disk_free_min_percent = 0;
  std::unique_ptr<Engine> engine;
  ManualRunner* runner = nullptr;
};

// The payload of the next PUBLISH that the client got; empty if there is none.
inline std::string next_payload(TestClient& client) {
  const broker::mqtt::PacketView packet = client.receive();
  const auto* const publish = std::get_if<broker::mqtt::PublishView>(&packet);
  return publish == nullptr ? "" : std::string(publish->payload);
}

inline bool next_is_puback(TestClient& client) {
  const broker::mqtt::PacketView packet = client.receive();
  const auto* const ack = std::get_if<broker::mqtt::Ack>(&packet);
  return ack != nullptr;
}

}  // namespace iotcore::rules::test
