#pragma once

#include "base/json.h"
#include "shadow/service.h"
#include "store/fault_store.h"
#include "store/forwarding_store.h"
#include "store/memory_store.h"
#include "tests/unit/broker/broker_fixture.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace iotcore::shadow::test {

using broker::test::QueueExecutor;

// A store whose asynchronous reads run when the test says so.
class QueuedReads final : public store::ForwardingStore {
 public:
  explicit QueuedReads(store::Store& inner) : ForwardingStore(inner) {}

  Result<std::vector<std::optional<store::Row>>> multi_get(
      store::Table table, std::span<const std::string> keys
  ) override {
    ++reads;
    if (broken) {
      return fail(Errc::kStoreIo, "the disk is broken");
    }
    return inner().multi_get(table, keys);
  }

  void commit(store::Batch batch, Executor* on, store::CommitDone done) override {
    ++commits;
    writes += batch.writes();
    inner().commit(std::move(batch), on, std::move(done));
  }

  Executor& readers() override { return readers_; }

  QueueExecutor readers_;
  bool broken = false;
  int reads = 0;
  int commits = 0;
  std::uint64_t writes = 0;
};

struct Published {
  std::string topic;
  std::string payload;
  broker::Qos qos;
  bool retain;
};

// Everything that is published under a filter, in its order.
class Recorder final : public broker::MessageConsumer {
 public:
  void on_message(broker::PublishContext& context) override {
    const broker::PublishView& view = context.publish();
    seen.push_back({std::string(view.topic), std::string(view.payload), view.qos, view.retain});
    if (keep) {
      context.durable_batch().put(store::Table::kOutbox, "x", view.topic);
    }
  }

  std::vector<Published> seen;
  bool keep = false;
};

// A broker with a shadow service and a store that can fail, on one thread.
class ServiceFixture {
 public:
  explicit ServiceFixture(
      std::size_t worker_count = 1,
      ServiceOptions service_options = {},
      store::Store* on = nullptr,
      bool record = true
  )
      : store(on == nullptr ? fault : *on),
        workers(worker_count),
        broker(broker::BrokerOptions{}, workers, store, authorizer, clock, metrics) {
    for (std::size_t i = 0; i < worker_count; ++i) {
      workers.brokers_[i] = std::make_unique<broker::WorkerBroker>(broker, WorkerId(i), timers);
    }
    service = std::make_unique<Service>(service_options, broker);
    service->start();
    if (record) {
      broker.add_consumer("$aws/things/#", recorder);
    }
  }

  ~ServiceFixture() {
    clients.clear();
    service.reset();
    workers.brokers_.clear();
  }

  // Runs turns until nothing is left to do; `reads`: those of the store, too.
  void settle(bool reads = true) {
    bool again = true;
    while (again) {
      again = false;
      for (std::size_t i = 0; i < workers.count(); ++i) {
        workers.brokers_[i]->bind_to_thread();
        workers.executors_[i].run();
        workers.brokers_[i]->end_turn();
      }
      workers.blocking_.run();
      if (reads) {
        store.readers_.run();
      }
      for (const QueueExecutor& executor : workers.executors_) {
        again = again || !executor.empty();
      }
    }
  }

  broker::test::TestClient& client(std::string_view id, std::size_t worker = 0) {
    workers.brokers_[worker]->bind_to_thread();
    broker::test::TestClient& made =
        *clients.emplace_back(std::make_unique<broker::test::TestClient>(
            *workers.brokers_[worker], broker::mqtt::Version::kV5
        ));
    broker::mqtt::ConnectView connect;
    connect.version = broker::mqtt::Version::kV5;
    connect.client_id = id;
    made.send(connect);
    settle();
    made.receive();
    return made;
  }

  // Puts it on its way; settle() has it done.
  void send(
      broker::test::TestClient& from,
      std::string_view topic,
      std::string_view payload,
      std::uint16_t packet_id = 0,
      std::size_t worker = 0
  ) {
    workers.brokers_[worker]->bind_to_thread();
    broker::mqtt::PublishView publish;
    publish.topic = topic;
    publish.payload = payload;
    publish.qos = packet_id == 0 ? broker::Qos::kAtMostOnce : broker::Qos::kAtLeastOnce;
    publish.packet_id = PacketId{packet_id};
    from.send(publish);
  }

  // As a client on no connection, with that origin.
  void publish(
      std::string_view topic,
      std::string_view payload,
      broker::Origin origin = broker::Origin::kClient
  ) {
    broker::PublishView view;
    view.topic = topic;
    view.payload = payload;
    view.origin = origin;
    workers.brokers_[0]->bind_to_thread();
    workers.brokers_[0]->publish({}, view, nullptr);
  }

  // What was published since, by the service: without the requests themselves.
  std::vector<Published> take() {
    std::vector<Published> answers;
    for (Published& message : recorder.seen) {
      const std::string_view last =
          std::string_view(message.topic).substr(message.topic.rfind('/') + 1);
      if (last != "get" && last != "update" && last != "delete") {
        answers.push_back(std::move(message));
      }
    }
    recorder.seen.clear();
    return answers;
  }

  static ShadowId classic(std::string_view thing) { return {ThingName(thing), ShadowName()}; }

  static ShadowId named(std::string_view thing, std::string_view shadow) {
    return {ThingName(thing), ShadowName(shadow)};
  }

  // The answer of the API after everything has settled.
  Result<std::string> get(const ShadowId& id) {
    Result<std::string> answer = fail(Errc::kTimeout, "no answer");
    service->get(id, [&](Result<std::string> got) { answer = std::move(got); });
    settle();
    return answer;
  }

  Result<std::string> update(const ShadowId& id, std::string_view payload) {
    Result<std::string> answer = fail(Errc::kTimeout, "no answer");
    service->update(id, payload, [&](Result<std::string> got) { answer = std::move(got); });
    settle();
    return answer;
  }

  Result<std::string> erase(const ShadowId& id) {
    Result<std::string> answer = fail(Errc::kTimeout, "no answer");
    service->erase(id, [&](Result<std::string> got) { answer = std::move(got); });
    settle();
    return answer;
  }

  static std::int64_t version_of(std::string_view body) {
    const Result<json::value> parsed = parse_json(body);
    return parsed ? parsed->at("version").to_number<std::int64_t>() : -1;
  }

  ManualClock clock;
  Metrics metrics;
  store::MemoryStore memory;
  store::FaultStore fault{memory};
  QueuedReads store;
  broker::test::TestAuthorizer authorizer;
  TimerWheel timers;
  broker::test::TestWorkers workers;
  broker::Broker broker;
  Recorder recorder;
  std::unique_ptr<Service> service;
  std::vector<std::unique_ptr<broker::test::TestClient>> clients;
};

}  // namespace iotcore::shadow::test
