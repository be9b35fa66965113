#include "tests/unit/broker/session_fixture.h"

namespace iotcore::broker::test {
namespace {

using mqtt::Ack;
using mqtt::Disconnect;
using mqtt::PublishView;
using mqtt::Version;

using Texts = std::vector<std::string>;

TestClient& connected_with_window(
    BrokerFixture& f, std::string_view id, std::uint16_t receive_maximum, std::size_t worker = 0
) {
  TestClient& client = f.client(Version::kV5, worker);
  mqtt::ConnectView connect;
  connect.client_id = id;
  connect.properties.set(mqtt::Property::kReceiveMaximum, receive_maximum);
  client.send(connect);
  f.settle();
  expect<mqtt::Connack>(client);
  return client;
}

void acknowledge(BrokerFixture& f, TestClient& client, PacketId id, mqtt::Reason reason = {}) {
  Ack ack;
  ack.packet_id = id;
  ack.reason = reason;
  client.send(ack);
  f.settle();
}

void publish_numbers(BrokerFixture& f, int from, int to) {
  TestClient& pub = f.connected("publisher" + std::to_string(from));
  for (int i = from; i < to; ++i) {
    f.publish(
        pub, "jobs/x", std::to_string(i), Qos::kAtLeastOnce, false, static_cast<std::uint16_t>(i)
    );
  }
}

TEST_CASE("MQTT5 4.8.2: who acknowledges gets the messages that others leave lying") {
  BrokerFixture f;
  TestClient& slow = connected_with_window(f, "slow", 100);
  TestClient& quick = connected_with_window(f, "quick", 100);
  f.subscribe(slow, "$share/g/jobs/+", Qos::kAtLeastOnce);
  f.subscribe(quick, "$share/g/jobs/+", Qos::kAtLeastOnce);
  std::size_t got = 0;
  for (int i = 1; i <= 40; ++i) {
    publish_numbers(f, i, i + 1);
    for (;;) {
      const mqtt::PacketView packet = quick.receive();
      if (std::holds_alternative<std::monostate>(packet)) {
        break;
      }
      ++got;
      acknowledge(f, quick, std::get<PublishView>(packet).packet_id);
    }
  }
  CHECK(got >= 38);
  CHECK(payloads(slow).size() == 40 - got);
}

TEST_CASE("members of a shared subscription take turns where that is asked for") {
  BrokerOptions options;
  options.share_strategy = ShareStrategy::kRoundRobin;
  BrokerFixture f(1, options);
  std::vector<TestClient*> members;
  for (const char* id : {"a", "b", "c"}) {
    members.push_back(&f.connected(id));
    f.subscribe(*members.back(), "$share/g/jobs/+", Qos::kAtLeastOnce);
  }
  publish_numbers(f, 1, 31);
  for (TestClient* member : members) {
    CHECK(payloads(*member).size() == 10);
  }
}

TEST_CASE(
    "MQTT5 4.8.2: what a member had and did not acknowledge when its session ended goes to another"
) {
  const std::size_t worker_count = GENERATE(1U, 2U);
  BrokerFixture f(worker_count);
  TestClient& leaving = connected_with_window(f, "leaving", 2);
  f.subscribe(leaving, "$share/g/jobs/+", Qos::kAtLeastOnce);
  publish_numbers(f, 1, 6);
  const PacketId first = expect<PublishView>(leaving).packet_id;
  acknowledge(f, leaving, first);
  CHECK(payloads(leaving) == Texts{"2", "3"});  // 4 and 5 wait behind the window
  TestClient& staying = f.connected("staying", Version::kV5, worker_count - 1);
  f.subscribe(staying, "$share/g/jobs/+", Qos::kAtLeastOnce);
  leaving.lose();
  f.settle();
  CHECK(payloads(staying) == Texts{"2", "3", "4", "5"});
}

TEST_CASE(
    "MQTT-4.3.3: no crash finds a message both in an ended session and in the one that has it now"
) {
  const Qos qos = GENERATE(Qos::kAtLeastOnce, Qos::kExactlyOnce);
  BrokerFixture f(2);
  for (const std::size_t worker : {0U, 1U}) {
    SessionOptions options;
    options.worker = worker;
    TestClient& member = begin(f, worker == 0 ? "leaving" : "staying", options);
    f.subscribe(member, "$share/g/jobs/+", qos);
    member.lose();
    f.settle();
    if (worker == 0) {
      TestClient& publisher = f.connected("publisher");
      for (std::uint16_t id = 1; id <= 3; ++id) {
        f.publish(publisher, "jobs/x", std::to_string(id), Qos::kExactlyOnce, false, id);
      }
    }
  }
  REQUIRE(rows_of(f, store::Table::kQueue, "q").size() == 3);
  TestClient& leaving = f.client();
  mqtt::ConnectView packet;
  packet.client_id = "leaving";
  packet.clean_start = true;
  leaving.send(packet);
  for (int step = 0; step < 40; ++step) {
    const auto worker = static_cast<std::size_t>(step % 2);
    f.workers.brokers_[worker]->bind_to_thread();
    f.workers.executors_[worker].run();
    f.workers.brokers_[worker]->end_turn();
    f.workers.blocking_.run();
    f.drain_readers();
    CHECK(rows_of(f, store::Table::kQueue, "q").size() == 3);
  }
  SessionOptions options;
  options.worker = 1;
  TestClient& staying = resume(f, "staying", options);
  CHECK(payloads(staying) == Texts{"1", "2", "3"});
  CHECK(rows_of(f, store::Table::kSessions, "e").empty());
}

TEST_CASE(
    "a message that would have to wait for every member of one worker goes to a member of another"
) {
  BrokerFixture f(2);
  TestClient& here = connected_with_window(f, "here", 1, 0);
  TestClient& there = connected_with_window(f, "there", 3, 1);
  f.subscribe(here, "$share/g/jobs/+", Qos::kAtLeastOnce);
  f.subscribe(there, "$share/g/jobs/+", Qos::kAtLeastOnce);
  publish_numbers(f, 1, 5);
  CHECK(payloads(here).size() == 1);
  const Texts taken = payloads(there);
  CHECK(taken.size() == 3);
  // Both windows are full: what comes now waits, and is not lost.
  publish_numbers(f, 5, 7);
  CHECK(payloads(here).empty());
  CHECK(payloads(there).empty());
  for (std::uint16_t id = 1; id <= 3; ++id) {
    acknowledge(f, here, PacketId{id});
    acknowledge(f, there, PacketId{id});
  }
  CHECK(payloads(here).size() + payloads(there).size() == 2);
}

TEST_CASE("a message whose member leaves while it is on its way to that worker goes to the others"
) {
  const Qos qos = GENERATE(Qos::kAtMostOnce, Qos::kAtLeastOnce, Qos::kExactlyOnce);
  BrokerFixture f(3);
  TestClient& leaving = f.connected("leaving", Version::kV5, 1);
  f.subscribe(leaving, "$share/g/jobs/+", qos);
  TestClient& pub = f.connected("publisher", Version::kV5, 0);
  PublishView publish;
  publish.topic = "jobs/x";
  publish.payload = "work";
  publish.qos = qos;
  publish.packet_id = qos == Qos::kAtMostOnce ? PacketId{} : PacketId{7};
  pub.send(publish);
  f.workers.brokers_[0]->end_turn();  // on its way to worker 1
  TestClient& staying = f.client(Version::kV5, 2);
  mqtt::ConnectView connect;
  connect.client_id = "staying";
  connect.properties.set(mqtt::Property::kSessionExpiryInterval, 100);
  staying.send(connect);
  std::string entries;
  mqtt::SubscriptionView entry;
  entry.filter = "$share/g/jobs/+";
  entry.qos = qos;
  mqtt::append_entry(entries, entry);
  mqtt::SubscribeView subscribe;
  subscribe.packet_id = PacketId{1};
  subscribe.entries = {entries, 1};
  staying.send(subscribe);
  leaving.lose();
  f.settle();
  CHECK(nothing(leaving));
  std::vector<std::string> got;
  for (mqtt::PacketView packet = staying.receive(); !std::holds_alternative<std::monostate>(packet);
       packet = staying.receive()) {
    if (const auto* message = std::get_if<PublishView>(&packet)) {
      got.emplace_back(message->payload);
    }
  }
  CHECK(got == std::vector<std::string>{"work"});
  if (qos != Qos::kAtMostOnce) {
    CHECK_FALSE(mqtt::is_error(expect<Ack>(pub).reason));
  }
}

TEST_CASE("MQTT-4.8.2-6: a message that its member refuses is not offered to another one") {
  BrokerFixture f;
  TestClient& member = f.connected("member");
  f.subscribe(member, "$share/g/jobs/+", Qos::kAtLeastOnce);
  publish_numbers(f, 1, 2);
  acknowledge(f, member, expect<PublishView>(member).packet_id, mqtt::Reason::kUnspecifiedError);
  TestClient& other = f.connected("other");
  f.subscribe(other, "$share/g/jobs/+", Qos::kAtLeastOnce);
  member.lose();
  f.settle();
  CHECK(nothing(other));
}

TEST_CASE("MQTT-3.10.4-3: who unsubscribes keeps what it was given") {
  BrokerFixture f;
  TestClient& member = f.connected("member");
  f.subscribe(member, "$share/g/jobs/+", Qos::kAtLeastOnce);
  TestClient& other = f.connected("other");
  publish_numbers(f, 1, 2);
  expect<PublishView>(member);
  std::string filters;
  mqtt::append_entry(filters, std::string_view("$share/g/jobs/+"));
  mqtt::UnsubscribeView unsubscribe;
  unsubscribe.packet_id = PacketId{2};
  unsubscribe.filters = {filters, 1};
  member.send(unsubscribe);
  f.settle();
  CHECK(expect<mqtt::UnsubackView>(member).reason(0) == mqtt::Reason::kSuccess);
  f.subscribe(other, "$share/g/jobs/+", Qos::kAtLeastOnce);
  member.lose();
  f.settle();
  CHECK(nothing(other));
}

TEST_CASE(
    "MQTT5 4.8.2: a shared subscription gets no retained messages, whatever Retain Handling says"
) {
  BrokerFixture f;
  TestClient& pub = f.connected("pub");
  f.publish(pub, "jobs/x", "kept", Qos::kAtMostOnce, true);
  TestClient& member = f.connected("member");
  mqtt::SubscriptionView entry;
  entry.filter = "$share/g/jobs/+";
  entry.retain_handling = GENERATE(mqtt::RetainHandling::kSend, mqtt::RetainHandling::kSendIfNew);
  send_subscribe(member, entry);
  CHECK(expect<mqtt::SubackView>(member).reason(0) == mqtt::Reason::kSuccess);
  CHECK(nothing(member));
}

TEST_CASE("MQTT-4.8.2-1, -2: a shared filter has a name without wildcards, and a filter") {
  const Version version = GENERATE(Version::kV3, Version::kV5);
  BrokerFixture f;
  TestClient& client = f.connected("client", version);
  const auto answer = [&](std::string_view filter) {
    mqtt::SubscriptionView entry;
    entry.filter = filter;
    send_subscribe(client, entry);
    f.settle();
    return expect<mqtt::SubackView>(client).reason(0);
  };
  for (const char* wrong :
       {"$share",
        "$share/",
        "$share/g",
        "$share/g/",
        "$share//a",
        "$share/+/a",
        "$share/#/a",
        "$share/g+/a",
        "$share/g/a#",
        "$share/g/#/a",
        "$share/g/$other/a"}) {
    CAPTURE(wrong);
    CHECK(
        answer(wrong) == (version == Version::kV5 ? mqtt::Reason::kTopicFilterInvalid
                                                  : mqtt::Reason::kUnspecifiedError)
    );
  }
  for (const char* right :
       {"$share/g/a", "$share/g//", "$share/g/+/#", "$share/g/#", "$share/ /a"}) {
    CAPTURE(right);
    CHECK(answer(right) == mqtt::Reason::kSuccess);
  }
}

TEST_CASE("MQTT-3.8.3-4: No Local on a shared subscription is a protocol error") {
  BrokerFixture f;
  TestClient& client = f.connected("client");
  mqtt::SubscriptionView entry;
  entry.filter = "$share/g/a";
  entry.no_local = true;
  send_subscribe(client, entry);
  CHECK(expect<Disconnect>(client).reason == mqtt::Reason::kProtocolError);
}

TEST_CASE("each group gets its own copy, and so does a member with a filter of its own") {
  BrokerFixture f;
  TestClient& client = f.connected("client");
  TestClient& other = f.connected("other");
  f.subscribe(client, "$share/one/jobs/+", Qos::kAtLeastOnce);
  f.subscribe(client, "$share/two/jobs/#", Qos::kAtMostOnce);
  f.subscribe(client, "jobs/x", Qos::kAtMostOnce);
  f.subscribe(other, "$share/one/jobs/x", Qos::kAtMostOnce);
  publish_numbers(f, 1, 2);
  CHECK(payloads(client).size() == 3);
  CHECK(payloads(other).size() == 1);
}

}  // namespace
}  // namespace iotcore::broker::test
