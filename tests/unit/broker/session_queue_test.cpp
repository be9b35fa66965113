// What waits for a client: its limits, its order, and what two clients share of it.
#include "broker/session_queue.h"

#include "broker/stored_sessions.h"
#include "broker/worker_sessions.h"
#include "tests/unit/broker/session_fixture.h"

#include <catch2/catch.hpp>

namespace iotcore::broker::test {
namespace {

using mqtt::Connack;
using mqtt::Disconnect;
using mqtt::PacketType;
using mqtt::PublishView;
using namespace std::chrono_literals;

TEST_CASE("many offline sessions share one copy of a message, which goes with the last of them") {
  const bool crashed = GENERATE(false, true);
  BrokerFixture f;
  const std::string payload(1000, 'x');
  for (const char* id : {"a", "b", "c"}) {
    TestClient& client = begin(f, id);
    f.subscribe(client, "t", Qos::kAtLeastOnce);
    client.lose();
  }
  TestClient& pub = f.connected("pub");
  f.publish(pub, "t", payload, Qos::kAtLeastOnce);
  f.settle();
  std::size_t bytes = 0;
  for (const store::Entry& entry : rows_of(f, store::Table::kQueue)) {
    bytes += entry.value.size();
  }
  CHECK(bytes < 1200);
  if (crashed) {
    f.crash();
  }
  for (const char* id : {"a", "b"}) {
    TestClient& client = resume(f, id);
    const auto got = expect<PublishView>(client);
    CHECK(got.payload == payload);
    send_ack(client, PacketType::kPuback, got.packet_id);
    f.settle();
  }
  CHECK(rows_of(f, store::Table::kQueue, "m").size() == 1);
  begin(f, "c", {.clean = true, .expiry_s = 0});  // the session ends unread
  f.settle();
  CHECK(rows_of(f, store::Table::kQueue).empty());
}

TEST_CASE("a long queue is read back page by page, in order, while more comes in") {
  BrokerFixture f;
  constexpr int kMessages = 2000;
  TestClient& sub = begin(f, "sub");
  f.subscribe(sub, "t", Qos::kAtLeastOnce);
  sub.lose();
  TestClient& pub = f.connected("pub");
  const auto publish = [&](int i) {
    f.publish(pub, "t", std::to_string(i), i % 3 == 0 ? Qos::kExactlyOnce : Qos::kAtLeastOnce);
    if (i % 3 == 0) {
      send_ack(pub, PacketType::kPubrel, PacketId{7});
      f.settle();
    }
  };
  for (int i = 0; i < kMessages / 2; ++i) {
    publish(i);
  }
  TestClient& again = resume(f, "sub", {.receive_maximum = 20});
  int expected = 0;
  int published = kMessages / 2;
  for (;;) {
    const mqtt::PacketView packet = again.receive();
    if (std::holds_alternative<std::monostate>(packet)) {
      break;
    }
    const auto got = std::get<PublishView>(packet);
    REQUIRE(got.payload == std::to_string(expected));
    ++expected;
    send_ack(again, PacketType::kPuback, got.packet_id);
    if (published < kMessages) {
      publish(published++);
    }
    f.settle();
  }
  CHECK(expected == kMessages);
  f.settle();
  CHECK(rows_of(f, store::Table::kQueue).empty());
}

TEST_CASE("a full queue drops what its policy says, by count and by bytes") {
  const QueueOverflow overflow = GENERATE(QueueOverflow::kDropNewest, QueueOverflow::kDropOldest);
  BrokerOptions options;
  options.queued_messages_max = 100;
  options.queue_overflow = overflow;
  BrokerFixture f(1, options);
  TestClient& sub = begin(f, "sub");
  f.subscribe(sub, "t", Qos::kAtLeastOnce);
  sub.lose();
  TestClient& pub = f.connected("pub");
  for (int i = 0; i < 1000; ++i) {
    f.publish(pub, "t", std::to_string(i), Qos::kAtLeastOnce);
  }
  TestClient& again = resume(f, "sub");
  std::vector<int> got;
  for (mqtt::PacketView packet = again.receive(); std::holds_alternative<PublishView>(packet);
       packet = again.receive()) {
    got.push_back(std::stoi(std::string(std::get<PublishView>(packet).payload)));
  }
  REQUIRE(got.size() >= 80);
  CHECK(got.size() <= 180);
  CHECK(std::is_sorted(got.begin(), got.end()));
  CHECK((overflow == QueueOverflow::kDropNewest ? got.front() == 0 : got.back() == 999));
}

TEST_CASE("messages that expire while they wait are not delivered, and the rest is counted down") {
  const bool crashed = GENERATE(false, true);
  BrokerFixture f;
  TestClient& sub = begin(f, "sub");
  f.subscribe(sub, "t", Qos::kAtLeastOnce);
  sub.lose();
  TestClient& pub = f.connected("pub");
  for (const std::uint32_t expiry_s : {10U, 100U}) {
    PublishView publish;
    publish.topic = "t";
    publish.payload = expiry_s == 10 ? "short" : "long";
    publish.qos = Qos::kAtLeastOnce;
    publish.packet_id = PacketId{7};
    publish.properties.set(mqtt::Property::kMessageExpiryInterval, expiry_s);
    pub.send(publish);
    f.settle();
  }
  f.pass(30s);
  if (crashed) {
    f.crash();
  }
  TestClient& again = resume(f, "sub");
  const auto got = expect<PublishView>(again);
  CHECK(got.payload == "long");
  CHECK(got.properties.number(mqtt::Property::kMessageExpiryInterval) == 70U);
  CHECK(nothing(again));
}

TEST_CASE("a message too large for the client is dropped, and the ones behind it are not") {
  BrokerFixture f;
  TestClient& sub = begin(f, "sub");
  f.subscribe(sub, "t", Qos::kAtLeastOnce);
  sub.lose();
  TestClient& pub = f.connected("pub");
  f.publish(pub, "t", std::string(500, 'x'), Qos::kAtLeastOnce);
  f.publish(pub, "t", "small", Qos::kAtLeastOnce);
  TestClient& again = f.client();
  mqtt::ConnectView packet;
  packet.client_id = "sub";
  packet.clean_start = false;
  packet.properties.set(mqtt::Property::kSessionExpiryInterval, 100);
  packet.properties.set(mqtt::Property::kMaximumPacketSize, 100);
  again.send(packet);
  f.settle();
  CHECK(expect<Connack>(again).session_present);
  const auto got = expect<PublishView>(again);
  CHECK(got.payload == "small");
  send_ack(again, PacketType::kPuback, got.packet_id);
  f.settle();
  CHECK(rows_of(f, store::Table::kQueue).empty());
}

TEST_CASE("the outgoing window is the client's Receive Maximum, at QoS 2 until PUBCOMP") {
  const bool clean = GENERATE(true, false);
  BrokerFixture f;
  TestClient& sub =
      begin(f, "sub", {.clean = clean, .expiry_s = clean ? 0U : 10U, .receive_maximum = 2});
  f.subscribe(sub, "t", Qos::kExactlyOnce);
  TestClient& pub = f.connected("pub");
  for (std::uint16_t i = 1; i <= 3; ++i) {
    f.publish(pub, "t", std::to_string(i), Qos::kExactlyOnce, false, i);
  }
  const auto first = expect<PublishView>(sub);
  expect<PublishView>(sub);
  CHECK(nothing(sub));
  send_ack(sub, PacketType::kPubrec, first.packet_id);
  f.settle();
  expect_ack(sub, PacketType::kPubrel, static_cast<std::uint16_t>(first.packet_id));
  CHECK(nothing(sub));
  send_ack(sub, PacketType::kPubcomp, first.packet_id);
  f.settle();
  CHECK(expect<PublishView>(sub).payload == "3");
}

TEST_CASE("how far sending may go is not known from what an earlier connection had asked for") {
  BrokerFixture f(2);
  const std::size_t own = index(f.workers.owner_of("sub"));
  const std::size_t other = 1 - own;
  const SessionOptions one_at_a_time = {.receive_maximum = 1, .worker = own};
  TestClient& sub = begin(f, "sub", one_at_a_time);
  f.subscribe(sub, "t", Qos::kExactlyOnce);
  TestClient& pub = f.connected("pub", mqtt::Version::kV5, other);
  const auto send_one_behind_another = [&] {
    for (const char* payload : {"at once", "waits"}) {
      f.publish(pub, "t", payload, Qos::kAtLeastOnce);
    }
    for (int i = 0; i < 2; ++i) {
      send_ack(sub, PacketType::kPuback, expect<PublishView>(sub).packet_id);
      f.settle();
    }
  };
  for (int i = 0; i < 16; ++i) {
    send_one_behind_another();
  }
  // This time the store is told how far it goes next, and that takes long. Meanwhile the client comes back.
  f.fault->hold();
  send_one_behind_another();
  TestClient& again = resume(f, "sub", one_at_a_time);
  const auto run = [&f](std::size_t worker) -> WorkerBroker& {
    f.workers.brokers_[worker]->bind_to_thread();
    f.workers.executors_[worker].run();
    return *f.workers.brokers_[worker];
  };
  run(other);
  PublishView publish;
  publish.topic = "t";
  publish.payload = "x";
  publish.qos = Qos::kExactlyOnce;
  publish.packet_id = PacketId{9};
  pub.send(publish);
  run(other).end_turn();
  f.fault->release();
  // Its row is written by the publisher's worker, in the middle of a turn of this one, whose own commit is lost in the crash.
  run(own);
  run(other).end_turn();
  run(other);
  run(own);
  CHECK(rows_of(f, store::Table::kQueue, "q").size() == 1);
  const bool was_sent = !nothing(again);
  f.crash();
  const auto got = expect<PublishView>(resume(f, "sub", one_at_a_time));
  CHECK(got.payload == "x");
  CHECK(got.dup == was_sent);
}

TEST_CASE("more unfinished publishes than Receive Maximum end the connection") {
  BrokerOptions options;
  options.receive_maximum = 2;
  BrokerFixture f(1, options);
  TestClient& pub = begin(f, "pub");
  for (std::uint16_t i = 1; i <= 3; ++i) {
    f.publish(pub, "t", "x", Qos::kExactlyOnce, false, i);
  }
  expect_ack(pub, PacketType::kPubrec, 1);
  expect_ack(pub, PacketType::kPubrec, 2);
  CHECK(expect<Disconnect>(pub).reason == mqtt::Reason::kReceiveMaximumExceeded);
}

}  // namespace
}  // namespace iotcore::broker::test
