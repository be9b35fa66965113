#pragma once

#include "base/clock.h"
#include "base/metrics.h"
#include "base/timer_wheel.h"
#include "broker/authorizer.h"
#include "broker/broker.h"
#include "broker/client.h"
#include "broker/mqtt/decoder.h"
#include "broker/mqtt/encoder.h"
#include "broker/quiescent.h"
#include "broker/worker_broker.h"
#include "store/fault_store.h"
#include "store/memory_store.h"

#include <catch2/catch.hpp>

#include <deque>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::broker::test {

// Runs what it is given when it is told to.
class QueueExecutor final : public Executor {
 public:
  void post(Function<void()> task) override {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }

  void run() {
    for (Function<void()> task = take(); task; task = take()) {
      task();
    }
  }

  void drop() {
    std::deque<Function<void()>> dropped;
    const std::lock_guard lock(mutex_);
    dropped.swap(tasks_);
  }

  bool empty() const {
    const std::lock_guard lock(mutex_);
    return tasks_.empty();
  }

 private:
  Function<void()> take() {
    const std::lock_guard lock(mutex_);
    if (tasks_.empty()) {
      return {};
    }
    Function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    return task;
  }

  mutable std::mutex mutex_;
  std::deque<Function<void()>> tasks_;
};

class TestWorkers final : public Workers {
 public:
  explicit TestWorkers(std::size_t count) : executors_(count), brokers_(count) {}

  std::size_t count() const override { return executors_.size(); }

  Executor& executor(WorkerId id) override { return executors_[index(id)]; }

  WorkerBroker& broker(WorkerId id) override { return *brokers_[index(id)]; }

  Executor& blocking() override { return blocking_; }

  void drop_tasks() {
    for (QueueExecutor& executor : executors_) {
      executor.drop();
    }
  }

  std::vector<QueueExecutor> executors_;
  std::vector<std::unique_ptr<WorkerBroker>> brokers_;
  QueueExecutor blocking_;
};

// Grants or denies by what the test says.
class TestAuthorizer final : public Authorizer {
 public:
  class Rules final : public Permissions {
   public:
    explicit Rules(TestAuthorizer& owner) : owner_(owner) {}

    bool allows(Action action, std::string_view resource, std::uint64_t) override {
      for (const auto& [what, name] : owner_.denied) {
        if (what == action && name == resource) {
          return false;
        }
      }
      return true;
    }

    std::string_view thing_name() const override { return {}; }

   private:
    TestAuthorizer& owner_;
  };

  void connect(const ConnectRequest& request, Answer answer) override {
    for (const auto& [action, name] : denied) {
      if (action == Action::kConnect && name == request.client_id) {
        answer(fail(Errc::kNotAuthorized, "not allowed to connect"));
        return;
      }
    }
    if (later) {
      waiting.push_back(std::move(answer));
      return;
    }
    answer(std::make_unique<Rules>(*this));
  }

  std::vector<std::pair<Action, std::string>> denied;
  bool later = false;
  std::vector<Answer> waiting;
};

// A client and its connection in memory.
class TestClient final : public Link {
 public:
  TestClient(WorkerBroker& worker, mqtt::Version version) : version_(version) {
    client_ = Client::make(worker, *this, {}, false);
  }

  template <typename Packet>
  void send(const Packet& packet) {
    std::string bytes;
    mqtt::encode(bytes, version_, packet);
    send_bytes(bytes);
  }

  void send_bytes(std::string_view bytes) {
    unread_.append(bytes);
    offer();
  }

  void close(CloseReason reason) override { close_reason = reason; }

  void set_reading(bool on) override {
    reading_ = on;
    if (on && !offering_) {
      offer();
    }
  }

  // The next packet that the broker sent; monostate if there is none.
  mqtt::PacketView receive() {
    held_.append(out_.view());
    out_.consume(out_.size());
    flush_queued_ = false;
    if (is_sent()) {
      client_->on_sent();
    }
    mqtt::DecodeContext context;
    context.version = version_;
    context.sender = mqtt::Sender::kServer;
    const mqtt::Decoded decoded = mqtt::decode(held_view(), context);
    if (decoded.state != mqtt::FrameView::State::kReady) {
      return {};
    }
    read_ += decoded.size_bytes;
    return decoded.packet;
  }

  // Drops the transport.
  void lose(CloseReason reason = CloseReason::kConnectionLost) { client_->on_closed(reason); }

  void destroy() { client_.reset(); }

  std::string_view held_view() const { return std::string_view(held_).substr(read_); }

  std::optional<CloseReason> close_reason;

 protected:
  void queue_flush() override {}

 private:
  void offer() {
    offering_ = true;
    while (reading_ && !close_reason) {
      const std::size_t taken = client_->on_bytes(unread_);
      unread_.erase(0, taken);
      if (taken == 0) {
        break;
      }
    }
    offering_ = false;
  }

  mqtt::Version version_;
  std::unique_ptr<Client> client_;
  std::string unread_;
  std::string held_;
  std::size_t read_ = 0;
  bool reading_ = true;
  bool offering_ = false;
};

class BrokerFixture {
 public:
  explicit BrokerFixture(std::size_t worker_count = 1, BrokerOptions given = {})
      : broker_options(std::move(given)), workers(worker_count) {
    fault.emplace(store);
    start();
    clock.advance(std::chrono::seconds(1));
  }

  ~BrokerFixture() {
    clients.clear();
    workers.brokers_.clear();
  }

  // Another process with the same store: what was not committed is lost, nobody says goodbye.
  void crash() {
    clients.clear();
    for (auto& worker : workers.brokers_) {
      worker.reset();
    }
    fault.emplace(store);
    drain_readers();
    workers.drop_tasks();
    timers = TimerWheel();
    start();
    REQUIRE(broker->load().has_value());
    settle();
  }

  void start() {
    broker = std::make_unique<Broker>(broker_options, workers, *fault, authorizer, clock, metrics);
    for (std::size_t i = 0; i < workers.count(); ++i) {
      workers.brokers_[i] = std::make_unique<WorkerBroker>(*broker, WorkerId(i), timers);
    }
  }

  // Lets time pass: what is due happens.
  void pass(Duration span) {
    settle();
    clock.advance(span);
    workers.brokers_[0]->bind_to_thread();
    timers.advance(clock.now());
    settle();
  }

  // Runs turns until nothing is left to do.
  void settle() {
    bool again = true;
    while (again) {
      again = false;
      for (std::size_t i = 0; i < workers.count(); ++i) {
        workers.brokers_[i]->bind_to_thread();
        workers.executors_[i].run();
        workers.brokers_[i]->end_turn();
      }
      workers.blocking_.run();
      drain_readers();
      for (const QueueExecutor& executor : workers.executors_) {
        again = again || !executor.empty();
      }
    }
  }

  // Waits for what the store reads on threads of its own.
  void drain_readers() {
    std::promise<void> done;
    store.readers().post([&done] { done.set_value(); });
    done.get_future().wait();
  }

  TestClient& client(mqtt::Version version = mqtt::Version::kV5, std::size_t worker = 0) {
    workers.brokers_[worker]->bind_to_thread();
    return *clients.emplace_back(std::make_unique<TestClient>(*workers.brokers_[worker], version));
  }

  // A connected one, its CONNACK read.
  TestClient& connected(
      std::string_view id, mqtt::Version version = mqtt::Version::kV5, std::size_t worker = 0
  ) {
    TestClient& made = client(version, worker);
    mqtt::ConnectView connect;
    connect.version = version;
    connect.client_id = id;
    made.send(connect);
    settle();
    made.receive();
    return made;
  }

  void subscribe(TestClient& to, std::string_view filter, Qos qos = Qos::kAtMostOnce) {
    std::string entries;
    mqtt::SubscriptionView entry;
    entry.filter = filter;
    entry.qos = qos;
    mqtt::append_entry(entries, entry);
    mqtt::SubscribeView subscribe;
    subscribe.packet_id = PacketId{1};
    subscribe.entries = {entries, 1};
    to.send(subscribe);
    settle();
    to.receive();
  }

  void publish(
      TestClient& from,
      std::string_view topic,
      std::string_view payload,
      Qos qos = Qos::kAtMostOnce,
      bool retain = false,
      std::uint16_t id = 7
  ) {
    mqtt::PublishView publish;
    publish.topic = topic;
    publish.payload = payload;
    publish.qos = qos;
    publish.retain = retain;
    publish.packet_id = qos == Qos::kAtMostOnce ? PacketId{} : PacketId{id};
    from.send(publish);
    settle();
  }

  ManualClock clock;
  Metrics metrics;
  BrokerOptions broker_options;
  store::MemoryStore store;
  std::optional<store::FaultStore> fault;  // what the broker sees of it
  TestAuthorizer authorizer;
  TimerWheel timers;
  TestWorkers workers;
  std::unique_ptr<Broker> broker;
  std::vector<std::unique_ptr<TestClient>> clients;
};

}  // namespace iotcore::broker::test
