#include "broker/broker.h"

#include "tests/unit/broker/broker_fixture.h"

#include <catch2/catch.hpp>

namespace iotcore::broker::test {
namespace {

using mqtt::Ack;
using mqtt::Connack;
using mqtt::Disconnect;
using mqtt::PublishView;
using mqtt::Version;

template <typename Packet>
Packet expect(TestClient& client) {
  const mqtt::PacketView packet = client.receive();
  REQUIRE(std::holds_alternative<Packet>(packet));
  return std::get<Packet>(packet);
}

bool nothing(TestClient& client) {
  return std::holds_alternative<std::monostate>(client.receive());
}

TEST_CASE("a publish reaches its subscribers and nobody else, on one worker and across two") {
  const std::size_t worker_count = GENERATE(1U, 2U);
  const Version version = GENERATE(Version::kV3, Version::kV5);
  BrokerFixture f(worker_count);
  TestClient& device = f.connected("device", version, 0);
  TestClient& exact = f.connected("exact", version, worker_count - 1);
  TestClient& plus = f.connected("plus", version, 0);
  TestClient& other = f.connected("other", version, 0);
  f.subscribe(exact, "plant/m1/t");
  f.subscribe(plus, "plant/+/t");
  f.subscribe(other, "plant/m2/t");
  f.publish(device, "plant/m1/t", "21");
  CHECK(expect<PublishView>(exact).payload == "21");
  CHECK(expect<PublishView>(plus).topic == "plant/m1/t");
  CHECK(nothing(other));
  CHECK(nothing(plus));
  CHECK(nothing(device));
}

TEST_CASE(
    "QoS 1 is acknowledged, granted and delivered with packet ids; the window holds the rest back"
) {
  BrokerFixture f;
  TestClient& sub = f.client(Version::kV5);
  mqtt::ConnectView connect;
  connect.client_id = "sub";
  connect.properties.set(mqtt::Property::kReceiveMaximum, 2);
  sub.send(connect);
  expect<Connack>(sub);
  f.subscribe(sub, "t", Qos::kAtLeastOnce);
  TestClient& pub = f.connected("pub", Version::kV3);
  for (std::uint16_t i = 1; i <= 5; ++i) {
    f.publish(pub, "t", std::string(1, static_cast<char>('0' + i)), Qos::kAtLeastOnce, false, i);
    CHECK(expect<Ack>(pub).packet_id == PacketId{i});
  }
  const auto first = expect<PublishView>(sub);
  const PacketId first_id = first.packet_id;
  CHECK(first.payload == "1");
  CHECK(expect<PublishView>(sub).payload == "2");
  CHECK(nothing(sub));
  Ack ack;
  ack.packet_id = first_id;
  sub.send(ack);
  CHECK(expect<PublishView>(sub).payload == "3");
  CHECK(nothing(sub));
}

TEST_CASE("QoS 1 with no subscriber says so to a v5 client") {
  BrokerFixture f;
  TestClient& pub = f.connected("pub");
  f.publish(pub, "nobody/listens", "x", Qos::kAtLeastOnce);
  CHECK(expect<Ack>(pub).reason == mqtt::Reason::kNoMatchingSubscribers);
}

TEST_CASE("overlapping subscriptions give one copy with the highest QoS and all identifiers") {
  BrokerFixture f;
  TestClient& sub = f.connected("sub");
  const auto subscribe = [&](std::string_view filter, Qos qos, std::uint32_t id) {
    std::string entries;
    mqtt::SubscriptionView entry;
    entry.filter = filter;
    entry.qos = qos;
    mqtt::append_entry(entries, entry);
    mqtt::SubscribeView packet;
    packet.packet_id = PacketId{1};
    packet.properties.set(mqtt::Property::kSubscriptionIdentifier, id);
    packet.entries = {entries, 1};
    sub.send(packet);
    sub.receive();
  };
  subscribe("a/+", Qos::kAtMostOnce, 11);
  subscribe("a/b", Qos::kAtLeastOnce, 22);
  subscribe("a/#", Qos::kAtMostOnce, 33);
  TestClient& pub = f.connected("pub");
  f.publish(pub, "a/b", "x", Qos::kAtLeastOnce);
  const auto got = expect<PublishView>(sub);
  CHECK(got.qos == Qos::kAtLeastOnce);
  std::vector<std::uint32_t> ids;
  got.properties.for_each_subscription_id([&](std::uint32_t id) { ids.push_back(id); });
  std::sort(ids.begin(), ids.end());
  CHECK(ids == std::vector<std::uint32_t>{11, 22, 33});
  CHECK(nothing(sub));
}

TEST_CASE("a second connection of a client takes over, and the first one's will is sent") {
  BrokerFixture f;
  TestClient& watcher = f.connected("watcher");
  f.subscribe(watcher, "wills/#");
  TestClient& first = f.client(Version::kV5);
  mqtt::ConnectView connect;
  connect.client_id = "device";
  connect.will.emplace();
  connect.will->topic = "wills/device";
  connect.will->payload = "gone";
  first.send(connect);
  expect<Connack>(first);
  f.connected("device");
  CHECK(expect<Disconnect>(first).reason == mqtt::Reason::kSessionTakenOver);
  CHECK(first.close_reason == CloseReason::kDuplicateClientId);
  CHECK(expect<PublishView>(watcher).payload == "gone");
}

TEST_CASE("a will is sent when the connection is lost, not after DISCONNECT") {
  const bool orderly = GENERATE(true, false);
  BrokerFixture f;
  TestClient& watcher = f.connected("watcher");
  f.subscribe(watcher, "wills/#");
  TestClient& device = f.client(Version::kV3);
  mqtt::ConnectView connect;
  connect.version = Version::kV3;
  connect.client_id = "device";
  connect.will.emplace();
  connect.will->topic = "wills/device";
  connect.will->payload = "gone";
  device.send(connect);
  f.settle();
  if (orderly) {
    device.send(Disconnect{});
  } else {
    device.lose();
  }
  f.settle();
  CHECK(nothing(watcher) == orderly);
}

TEST_CASE("each message to a shared subscription goes to one member, in turns, across workers") {
  BrokerFixture f(2);
  TestClient& a = f.connected("a", Version::kV5, 0);
  TestClient& b = f.connected("b", Version::kV3, 1);
  TestClient& c = f.connected("c", Version::kV5, 1);
  for (TestClient* member : {&a, &b, &c}) {
    f.subscribe(*member, "$share/g/jobs/+");
  }
  TestClient& pub = f.connected("pub");
  for (int i = 0; i < 30; ++i) {
    f.publish(pub, "jobs/1", "x");
  }
  std::vector<int> counts;
  for (TestClient* member : {&a, &b, &c}) {
    int count = 0;
    while (!nothing(*member)) {
      ++count;
    }
    counts.push_back(count);
  }
  CHECK(counts == std::vector<int>{10, 10, 10});
}

TEST_CASE("what policies deny is refused in the protocol's own form") {
  BrokerFixture f;
  f.authorizer.denied = {
      {Action::kConnect, "stranger"},
      {Action::kPublish, "secret"},
      {Action::kSubscribe, "secret"},
      {Action::kReceive, "hidden"}};
  TestClient& refused = f.client();
  mqtt::ConnectView connect;
  connect.client_id = "stranger";
  refused.send(connect);
  CHECK(expect<Connack>(refused).reason == mqtt::Reason::kNotAuthorized);
  CHECK(refused.close_reason == CloseReason::kAuthError);

  TestClient& v5 = f.connected("v5");
  f.publish(v5, "secret", "x", Qos::kAtLeastOnce);
  CHECK(expect<Ack>(v5).reason == mqtt::Reason::kNotAuthorized);
  CHECK_FALSE(v5.close_reason);
  f.subscribe(v5, "hidden");
  TestClient& v3 = f.connected("v3", Version::kV3);
  f.publish(v3, "hidden", "x");
  CHECK(nothing(v5));
  f.publish(v3, "secret", "x", Qos::kAtLeastOnce);
  CHECK(v3.close_reason == CloseReason::kAuthError);
}

TEST_CASE("a client that stays silent for one and a half times its keep alive is closed") {
  BrokerFixture f;
  TestClient& client = f.client();
  mqtt::ConnectView connect;
  connect.client_id = "c";
  connect.keep_alive_s = 10;
  client.send(connect);
  expect<Connack>(client);
  f.settle();
  f.clock.advance(std::chrono::seconds(14));
  f.timers.advance(f.clock.now());
  CHECK_FALSE(client.close_reason);
  client.send(mqtt::Pingreq{});
  expect<mqtt::Pingresp>(client);
  f.settle();
  f.clock.advance(std::chrono::seconds(14));
  f.timers.advance(f.clock.now());
  CHECK_FALSE(client.close_reason);
  f.settle();
  f.clock.advance(std::chrono::seconds(2));
  f.timers.advance(f.clock.now());
  CHECK(client.close_reason == CloseReason::kKeepAliveTimeout);
  CHECK(expect<Disconnect>(client).reason == mqtt::Reason::kKeepAliveTimeout);
}

TEST_CASE("a server that stops tells clients of version 5 why; 3.1.1 has no word for it") {
  BrokerFixture f;
  TestClient& v5 = f.connected("new", Version::kV5);
  TestClient& v3 = f.connected("old", Version::kV3);
  v5.lose(CloseReason::kServerShutdown);
  v3.lose(CloseReason::kServerShutdown);
  CHECK(expect<Disconnect>(v5).reason == mqtt::Reason::kServerShuttingDown);
  CHECK(nothing(v3));
}

// Holds back acknowledgements until told.
class HoldingConsumer final : public MessageConsumer {
 public:
  void on_message(PublishContext& context) override {
    payloads.emplace_back(context.publish().payload);
    if (hold) {
      holds.push_back(context.hold());
    }
  }

  bool hold = true;
  std::vector<std::string> payloads;
  std::vector<PendingAck::Hold> holds;
};

TEST_CASE("an acknowledgement waits for its consumers, and the later ones wait for it") {
  BrokerFixture f;
  HoldingConsumer consumer;
  f.broker->add_consumer("slow/#", consumer);
  TestClient& pub = f.connected("pub", Version::kV3);
  f.publish(pub, "slow/1", "a", Qos::kAtLeastOnce, false, 1);
  f.publish(pub, "fast", "b", Qos::kAtLeastOnce, false, 2);
  CHECK(nothing(pub));
  consumer.holds.back().release();
  consumer.holds.clear();
  f.settle();
  CHECK(expect<Ack>(pub).packet_id == PacketId{1});
  CHECK(expect<Ack>(pub).packet_id == PacketId{2});
  f.publish(pub, "slow/1", "a", Qos::kAtLeastOnce, false, 3);
  consumer.holds.back().fail();
  consumer.holds.clear();
  f.settle();
  CHECK(pub.close_reason == CloseReason::kServerError);
}

TEST_CASE("lifecycle events tell who came and went") {
  BrokerFixture f;
  TestClient& watcher = f.connected("watcher");
  f.subscribe(watcher, "$aws/events/presence/+/device");
  TestClient& device = f.connected("device");
  const std::string connected(expect<PublishView>(watcher).payload);
  CHECK(connected.find(R"("eventType":"connected")") != std::string::npos);
  device.lose();
  f.settle();
  const std::string gone(expect<PublishView>(watcher).payload);
  CHECK(gone.find(R"("disconnectReason":"CONNECTION_LOST")") != std::string::npos);
}

TEST_CASE("reserved topics are refused") {
  BrokerFixture f;
  TestClient& client = f.connected("c");
  f.publish(client, "$SYS/x", "1", Qos::kAtLeastOnce);
  CHECK(expect<Ack>(client).reason == mqtt::Reason::kTopicNameInvalid);
  std::string entries;
  for (const char* filter : {"test/a", "$invalid/x"}) {
    mqtt::SubscriptionView entry;
    entry.filter = filter;
    mqtt::append_entry(entries, entry);
  }
  mqtt::SubscribeView packet;
  packet.packet_id = PacketId{1};
  packet.entries = {entries, 2};
  client.send(packet);
  const auto suback = expect<mqtt::SubackView>(client);
  CHECK(suback.reason(0) == mqtt::Reason::kSuccess);
  CHECK(suback.reason(1) == mqtt::Reason::kTopicFilterInvalid);
}

TEST_CASE("an authorizer may take its time, and what the client sent meanwhile waits") {
  BrokerFixture f;
  f.authorizer.later = true;
  TestClient& client = f.client(Version::kV3);
  mqtt::ConnectView connect;
  connect.version = Version::kV3;
  connect.client_id = "c";
  client.send(connect);
  client.send(mqtt::Pingreq{});
  CHECK(nothing(client));
  f.authorizer.waiting[0](std::make_unique<TestAuthorizer::Rules>(f.authorizer));
  expect<Connack>(client);
  expect<mqtt::Pingresp>(client);
}

TEST_CASE("a topic alias stands for its topic from then on") {
  BrokerFixture f;
  TestClient& sub = f.connected("sub");
  f.subscribe(sub, "long/topic");
  TestClient& pub = f.connected("pub");
  PublishView publish;
  publish.topic = "long/topic";
  publish.properties.set(mqtt::Property::kTopicAlias, 3);
  pub.send(publish);
  publish.topic = {};
  publish.payload = "again";
  pub.send(publish);
  expect<PublishView>(sub);
  CHECK(expect<PublishView>(sub).payload == "again");
  publish.properties.set(mqtt::Property::kTopicAlias, 4);
  pub.send(publish);
  CHECK(expect<Disconnect>(pub).reason == mqtt::Reason::kProtocolError);
}

TEST_CASE("with a highest QoS of 1 more is refused, granted as 1, and said in CONNACK") {
  BrokerOptions options;
  options.qos_max = 1;
  BrokerFixture f(1, options);
  TestClient& will = f.client();
  mqtt::ConnectView connect;
  connect.client_id = "c";
  connect.will.emplace();
  connect.will->topic = "t";
  connect.will->qos = Qos::kExactlyOnce;
  will.send(connect);
  CHECK(expect<Connack>(will).reason == mqtt::Reason::kQosNotSupported);
  TestClient& v5 = f.client();
  connect.will.reset();
  v5.send(connect);
  CHECK(expect<Connack>(v5).properties.number(mqtt::Property::kMaximumQos) == 1U);
  f.publish(v5, "t", "x", Qos::kExactlyOnce);
  CHECK(expect<Disconnect>(v5).reason == mqtt::Reason::kQosNotSupported);
}

TEST_CASE(
    "a message on its way to another worker does not reach who subscribes to something else "
    "meanwhile"
) {
  BrokerFixture f(2);
  QuiescentDomain& quiescent = f.broker->quiescent();
  quiescent.online(WorkerId{0});
  quiescent.online(WorkerId{1});
  TestClient& old = f.connected("old", Version::kV5, 1);
  f.subscribe(old, "private/old");
  TestClient& pub = f.connected("pub", Version::kV5, 0);
  PublishView publish;
  publish.topic = "private/old";
  publish.payload = "not for all";
  pub.send(publish);
  f.workers.brokers_[0]->end_turn();
  // Before the other worker takes it, the subscriber is gone, and another one comes.
  old.lose();
  TestClient& fresh = f.client(Version::kV5, 1);
  mqtt::ConnectView connect;
  connect.client_id = "fresh";
  fresh.send(connect);
  expect<Connack>(fresh);
  for (int i = 0; i < 5; ++i) {
    std::string entries;
    const std::string filter = "other/" + std::to_string(i);
    mqtt::SubscriptionView entry;
    entry.filter = filter;
    mqtt::append_entry(entries, entry);
    mqtt::SubscribeView subscribe;
    subscribe.packet_id = PacketId{1};
    subscribe.entries = {entries, 1};
    fresh.send(subscribe);
    expect<mqtt::SubackView>(fresh);
  }
  f.settle();
  CHECK(nothing(fresh));
  quiescent.offline(WorkerId{0});
  quiescent.offline(WorkerId{1});
}

}  // namespace
}  // namespace iotcore::broker::test
