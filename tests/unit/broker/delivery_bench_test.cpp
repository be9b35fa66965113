// What delivery and subscriptions cost without sockets. Not run by default: unit_broker "[.bench]".
#include "broker/retained.h"
#include "tests/unit/broker/broker_fixture.h"

#include <catch2/catch.hpp>

#include <cstdio>
#include <cstring>
#include <ctime>
#include <malloc.h>

namespace iotcore::broker::test {
namespace {

double cpu_ns() {
  timespec now = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

// A connection whose output is copied once, as a socket does.
class Sink final : public Link {
 public:
  explicit Sink(WorkerBroker& worker) : client_(Client::make(worker, *this, {}, false)) {}

  void close(CloseReason /*reason*/) override {}

  void set_reading(bool /*on*/) override {}

  template <typename Packet>
  void send(const Packet& packet) {
    std::string bytes;
    mqtt::encode(bytes, mqtt::Version::kV3, packet);
    client_->on_bytes(bytes);
  }

  void on_bytes(std::string_view bytes) { client_->on_bytes(bytes); }

  void flush() {
    flush_queued_ = false;
    while (!out_.empty()) {
      const std::size_t n = std::min(out_.size(), kernel().size());
      std::memcpy(kernel().data(), out_.view().data(), n);
      out_.consume(n);
    }
  }

 protected:
  void queue_flush() override {}

 private:
  static std::string& kernel() {
    static std::string buffer(64 * 1024, '\0');
    return buffer;
  }

  std::unique_ptr<Client> client_;
};

struct Bench {
  BrokerFixture f;
  std::vector<std::unique_ptr<Sink>> sinks;

  Bench() {
    f.workers.brokers_[0]->bind_to_thread();
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
  }

  Sink& connect() {
    Sink& sink = *sinks.emplace_back(std::make_unique<Sink>(*f.workers.brokers_[0]));
    const std::string id = "c" + std::to_string(sinks.size());
    mqtt::ConnectView connect;
    connect.version = mqtt::Version::kV3;
    connect.client_id = id;
    sink.send(connect);
    f.settle();
    sink.flush();
    return sink;
  }

  static void subscribe(Sink& sink, std::string_view filter) {
    std::string entries;
    mqtt::SubscriptionView entry;
    entry.filter = filter;
    mqtt::append_entry(entries, entry);
    mqtt::SubscribeView packet;
    packet.packet_id = PacketId{1};
    packet.entries = {entries, 1};
    sink.send(packet);
  }

  void turn() {
    f.workers.brokers_[0]->end_turn();
    for (const auto& sink : sinks) {
      sink->flush();
    }
  }
};

std::string frames(std::string_view topic, int count) {
  std::string bytes;
  const std::string payload(256, 'p');
  mqtt::PublishView publish;
  publish.topic = topic;
  publish.payload = payload;
  for (int i = 0; i < count; ++i) {
    mqtt::encode(bytes, mqtt::Version::kV3, publish);
  }
  return bytes;
}

void print(const char* what, double ns) {
  std::printf("%-44s %8.1f ns\n", what, ns);
}

void measure_streams(const char* what, int publishers, int subscribers, bool pairs, int burst) {
  Bench bench;
  std::vector<std::pair<Sink*, std::string>> sources;
  for (int i = 0; i < publishers; ++i) {
    const std::string topic = "bench/x/" + std::to_string(i);
    sources.emplace_back(&bench.connect(), frames(topic, burst));
  }
  for (int i = 0; i < subscribers; ++i) {
    Bench::subscribe(bench.connect(), pairs ? "bench/x/" + std::to_string(i) : "bench/x/#");
  }
  bench.turn();
  const double deliveries = pairs ? publishers * burst : 1.0 * publishers * subscribers * burst;
  const int turns = static_cast<int>(2e6 / deliveries) + 1;
  double begin = 0;
  for (int i = -turns / 10; i < turns; ++i) {
    if (i == 0) {
      begin = cpu_ns();
    }
    for (auto& [sink, bytes] : sources) {
      sink->on_bytes(bytes);
    }
    bench.turn();
  }
  print(what, (cpu_ns() - begin) / (turns * deliveries));
}

TEST_CASE("bench: delivery", "[.bench]") {
  measure_streams("pairs, 50 x 64 a turn", 50, 50, true, 64);
  measure_streams("pairs, 500 x 1 a turn", 500, 500, true, 1);
  measure_streams("fan-in, 100 x 32 a turn", 100, 1, false, 32);
  measure_streams("fan-out to 200, 64 a turn", 1, 200, false, 64);
  measure_streams("fan-out to 5000, 16 a turn", 1, 5000, false, 16);
}

TEST_CASE("bench: subscriptions", "[.bench]") {
  constexpr int kClients = 1000;
  constexpr int kFilters = 100;
  Bench bench;
  for (int i = 0; i < kClients; ++i) {
    bench.connect();
  }
  const auto before = mallinfo2().uordblks;
  const double begin = cpu_ns();
  for (int i = 0; i < kClients; ++i) {
    for (int k = 0; k < kFilters; ++k) {
      char filter[64];
      std::snprintf(filter, sizeof filter, "site/%05d/%05d/%s", i, k, k % 5 == 0 ? "+" : "value");
      Bench::subscribe(*bench.sinks[static_cast<std::size_t>(i)], filter);
    }
    bench.turn();
  }
  print("subscribe", (cpu_ns() - begin) / (kClients * kFilters));
  std::printf(
      "%-44s %8.1f B\n",
      "memory a subscription",
      static_cast<double>(mallinfo2().uordblks - before) / (kClients * kFilters)
  );
}

TEST_CASE("bench: retained", "[.bench]") {
  constexpr int kTopics = 100'000;
  QueueExecutor idle;
  store::MemoryStore store;
  ManualClock clock;
  RetainedMessages retained(store, clock, {});
  const std::string payload(256, 'p');
  const auto before = mallinfo2().uordblks;
  double begin = cpu_ns();
  for (int i = 0; i < kTopics; ++i) {
    const std::string topic = "bench/kept/" + std::to_string(i);
    PublishView publish;
    publish.topic = topic;
    publish.payload = payload;
    REQUIRE(retained.set(publish));
  }
  print("keep a retained message", (cpu_ns() - begin) / kTopics);
  std::printf(
      "%-44s %8.1f B\n",
      "memory beyond the payload",
      static_cast<double>(mallinfo2().uordblks - before) / kTopics - 256
  );
  begin = cpu_ns();
  std::size_t found = 0;
  retained.match("#", [&](const Message::Ref&, std::int64_t) { ++found; });
  print("find all by #, each", (cpu_ns() - begin) / kTopics);
  CHECK(found == kTopics);
}

}  // namespace
}  // namespace iotcore::broker::test
