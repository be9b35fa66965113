#include "broker/retained.h"

#include "tests/unit/broker/packets.h"
#include "tests/unit/broker/session_fixture.h"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace iotcore::broker::test {
namespace {

using mqtt::Ack;
using mqtt::PublishView;
using mqtt::Version;

std::size_t rows(store::Store& store) {
  return store.scan(store::Table::kRetained, "m", "", 100'000)->size();
}

TEST_CASE(
    "MQTT-3.3.1-6: a retained message comes with a new subscription, outlives the process and can "
    "be removed"
) {
  BrokerFixture f;
  TestClient& pub = f.connected("pub");
  f.publish(pub, "state/a", "on", Qos::kAtLeastOnce, true);
  CHECK(expect<Ack>(pub).packet_id == PacketId{7});
  f.publish(pub, "state/b", "off", Qos::kAtMostOnce, true);
  TestClient& sub = f.connected("sub");
  mqtt::SubscriptionView entry;
  entry.filter = "state/+";
  send_subscribe(sub, entry);
  expect<mqtt::SubackView>(sub);
  CHECK(expect<PublishView>(sub).retain);
  CHECK(expect<PublishView>(sub).retain);
  CHECK(nothing(sub));
  f.publish(pub, "state/a", "off");
  CHECK_FALSE(expect<PublishView>(sub).retain);

  RetainedMessages again(f.store, f.clock, {});
  REQUIRE(again.load().has_value());
  CHECK(again.count() == 2);
  CHECK(again.bytes() == f.broker->retained().bytes());
  CHECK(again.find("state/a")->view().payload == "on");

  f.publish(pub, "state/a", "", Qos::kAtMostOnce, true);
  CHECK(f.broker->retained().count() == 1);
  RetainedMessages third(f.store, f.clock, {});
  REQUIRE(third.load().has_value());
  CHECK_FALSE(third.find("state/a"));
}

TEST_CASE("MQTT-3.8.4-8: a retained message comes at no higher QoS than was granted") {
  BrokerOptions options;
  options.qos_max = 1;
  BrokerFixture f(1, options);
  broker::PublishView kept;  // from before Maximum QoS was lowered
  kept.topic = "state/a";
  kept.payload = "on";
  kept.qos = Qos::kExactlyOnce;
  kept.retain = true;
  f.workers.brokers_[0]->publish({}, kept, nullptr);
  TestClient& sub = f.connected("sub");
  mqtt::SubscriptionView entry;
  entry.filter = GENERATE("state/+", "state/a");
  entry.qos = Qos::kExactlyOnce;
  send_subscribe(sub, entry);
  f.settle();
  CHECK(expect<mqtt::SubackView>(sub).reason(0) == mqtt::Reason::kGrantedQos1);
  CHECK(expect<PublishView>(sub).qos == Qos::kAtLeastOnce);
}

TEST_CASE("a retained message that several workers wrote is the last one after a restart") {
  BrokerFixture f(3);
  TestClient& one = f.connected("one", Version::kV5, 0);
  TestClient& two = f.connected("two", Version::kV5, 1);
  for (const char* topic : {"t", "u", "v", "w"}) {
    f.publish(one, topic, "first", Qos::kAtLeastOnce, true);
    f.publish(two, topic, "second", Qos::kAtLeastOnce, true);
  }
  f.publish(one, "u", "", Qos::kAtLeastOnce, true);
  // Deleted by one, set and deleted by the other: what the first one wrote does not come back.
  f.publish(two, "v", "", Qos::kAtLeastOnce, true);
  f.publish(two, "v", "third", Qos::kAtLeastOnce, true);
  f.publish(two, "v", "", Qos::kAtLeastOnce, true);
  RetainedMessages again(f.store, f.clock, {});
  REQUIRE(again.load().has_value());
  CHECK(again.find("t")->view().payload == "second");
  CHECK(again.find("w")->view().payload == "second");
  CHECK_FALSE(again.find("u"));
  CHECK_FALSE(again.find("v"));
  CHECK(rows(f.store) == 2);
}

TEST_CASE(
    "MQTT-3.3.2-6: what is left of a retained message's expiry goes with it, and then it is gone, "
    "from the store too"
) {
  BrokerFixture f;
  TestClient& pub = f.connected("pub");
  const auto keep = [&](std::string_view topic, std::uint32_t expiry_s) {
    PublishView publish;
    publish.topic = topic;
    publish.payload = "x";
    publish.retain = true;
    publish.properties.set(mqtt::Property::kMessageExpiryInterval, expiry_s);
    pub.send(publish);
    f.settle();
  };
  keep("short", 10);
  keep("long", 100);
  keep("renewed", 10);
  keep("renewed", 100);
  pass_time(f, std::chrono::seconds(4));
  TestClient& sub = f.connected("sub");
  mqtt::SubscriptionView entry;
  entry.filter = "short";
  send_subscribe(sub, entry);
  expect<mqtt::SubackView>(sub);
  CHECK(expect<PublishView>(sub).properties.number(mqtt::Property::kMessageExpiryInterval) == 6U);
  f.clock.advance(std::chrono::seconds(6));
  send_subscribe(sub, entry);
  expect<mqtt::SubackView>(sub);
  CHECK(nothing(sub));
  f.timers.advance(f.clock.now());
  f.settle();
  CHECK(f.broker->retained().count() == 2);
  CHECK(rows(f.store) == 2);

  f.clock.advance(std::chrono::seconds(100));
  RetainedMessages again(f.store, f.clock, {});
  REQUIRE(again.load().has_value());
  CHECK(again.count() == 0);
  CHECK(rows(f.store) == 0);
}

TEST_CASE("what became of a publish is said alike at once and once it is kept") {
  const bool is_kept_first = GENERATE(false, true);  // for a session that outlives its connection
  const bool publisher_persistent = GENERATE(false, true);
  const Qos qos = GENERATE(Qos::kAtLeastOnce, Qos::kExactlyOnce);
  BrokerOptions options;
  options.retained_messages_max = 1;
  BrokerFixture f(1, options);
  TestClient& pub = begin(f, "pub", {.expiry_s = publisher_persistent ? 100U : 0U});
  const auto publish = [&](TestClient& from, std::string_view topic, bool retain) {
    f.publish(from, topic, "x", qos, retain, 5);
    const Ack answer = expect<Ack>(from);
    if (qos == Qos::kExactlyOnce && !mqtt::is_error(answer.reason)) {
      send_ack(from, mqtt::PacketType::kPubrel, PacketId{5});
      f.settle();
      expect_ack(from, mqtt::PacketType::kPubcomp, 5);
    }
    return answer.reason;
  };
  CHECK(publish(pub, "kept", true) == mqtt::Reason::kNoMatchingSubscribers);
  TestClient& sub = begin(f, "sub", {.expiry_s = is_kept_first ? 100U : 0U});
  f.subscribe(sub, "t", Qos::kExactlyOnce);
  CHECK(publish(pub, "t", true) == mqtt::Reason::kQuotaExceeded);
  CHECK(publish(pub, "nobody", true) == mqtt::Reason::kQuotaExceeded);
  CHECK(expect<PublishView>(sub).topic == "t");
  // The identifier is free again, whatever becomes of the server.
  CHECK(rows_of(f, store::Table::kSessions, "r").empty());
  CHECK(publish(pub, "t", false) == mqtt::Reason::kSuccess);
  CHECK(expect<PublishView>(sub).topic == "t");
  CHECK(nothing(sub));
  // 3.1.1 cannot be told.
  TestClient& old =
      begin(f, "old", {.version = mqtt::Version::kV3, .clean = !publisher_persistent});
  CHECK(publish(old, "t", true) == mqtt::Reason::kSuccess);
  CHECK_FALSE(old.close_reason);
}

TEST_CASE("a refusal at QoS 2 does not leave before its identifier is forgotten for good") {
  BrokerOptions options;
  options.retained_messages_max = 0;
  BrokerFixture f(1, options);
  TestClient& pub = begin(f, "pub");
  f.fault->hold();
  f.publish(pub, "t", "x", Qos::kExactlyOnce, true, 5);
  f.fault->release();
  f.fault->hold();
  f.settle();
  CHECK(rows_of(f, store::Table::kSessions, "r").size() == 1);
  CHECK(f.fault->held() == 1);
  CHECK(nothing(pub));
  // Meanwhile the client comes back and says it again, which is the same message.
  TestClient& again = resume(f, "pub");
  f.publish(again, "t", "x", Qos::kExactlyOnce, true, 5);
  CHECK(nothing(again));
  f.fault->release();
  f.settle();
  CHECK(rows_of(f, store::Table::kSessions, "r").empty());
  CHECK(expect<Ack>(again).reason == mqtt::Reason::kQuotaExceeded);
  CHECK(nothing(again));
}

TEST_CASE(
    "retained messages are bounded by count, by memory and by the size of each, at the limit and "
    "one above"
) {
  BrokerOptions options;
  options.retained_messages_max = 3;
  options.retained_payload_bytes_max = 100;
  BrokerFixture f(1, options);
  TestClient& pub = f.connected("pub");
  const auto keep = [&](std::string_view topic, std::size_t bytes) {
    f.publish(pub, topic, std::string(bytes, 'x'), Qos::kAtLeastOnce, true);
    return expect<Ack>(pub).reason;
  };
  CHECK(keep("a", 100) != mqtt::Reason::kQuotaExceeded);
  CHECK(keep("b", 101) == mqtt::Reason::kQuotaExceeded);
  CHECK(keep("b", 1) != mqtt::Reason::kQuotaExceeded);
  CHECK(keep("c", 1) != mqtt::Reason::kQuotaExceeded);
  CHECK(keep("d", 1) == mqtt::Reason::kQuotaExceeded);
  CHECK(keep("c", 2) != mqtt::Reason::kQuotaExceeded);
  CHECK(keep("c", 0) != mqtt::Reason::kQuotaExceeded);
  CHECK(keep("d", 1) != mqtt::Reason::kQuotaExceeded);
  CHECK(f.broker->retained().count() == 3);

  RetainedLimits limits;
  limits.bytes_max = 10'000;
  RetainedMessages bounded(f.store, f.clock, limits);
  broker::PublishView message;
  std::string topic;
  std::string payload = "x";
  message.payload = payload;
  std::size_t kept = 0;
  for (int i = 0; i < 1000; ++i) {
    topic = "flood/" + std::to_string(i);
    message.topic = topic;
    kept += bounded.set(message) ? 1 : 0;
  }
  CHECK(kept == bounded.count());
  CHECK(kept > 10);
  CHECK(bounded.bytes() <= limits.bytes_max);
  topic = "flood/0";
  payload = std::string(10'000, 'y');
  message.payload = payload;
  CHECK_FALSE(bounded.set(message));
  CHECK(bounded.find("flood/0")->view().payload == "x");
  bounded.clear();
  CHECK(bounded.bytes() == 0);
}

TEST_CASE("a profile may keep retained messages from filters with wildcards") {
  BrokerOptions options;
  options.retained_to_wildcards = false;
  BrokerFixture f(1, options);
  TestClient& pub = f.connected("pub");
  f.publish(pub, "state/a", "on", Qos::kAtMostOnce, true);
  TestClient& sub = f.connected("sub");
  mqtt::SubscriptionView entry;
  entry.filter = "state/#";
  send_subscribe(sub, entry);
  expect<mqtt::SubackView>(sub);
  CHECK(nothing(sub));
  entry.filter = "state/a";
  send_subscribe(sub, entry);
  expect<mqtt::SubackView>(sub);
  CHECK(expect<PublishView>(sub).payload == "on");
}

TEST_CASE("statistics are messages on $SYS on request, now and for those who come later") {
  BrokerOptions options;
  const bool on = GENERATE(true, false);
  options.sys_topics_interval_s = on ? 10 : 0;
  BrokerFixture f(2, options);
  TestClient& operator_client = f.connected("operator", Version::kV3, 1);
  mqtt::SubscriptionView entry;
  entry.filter = "$SYS/broker/clients/+";
  send_subscribe(operator_client, entry);
  CHECK(mqtt::is_error(expect<mqtt::SubackView>(operator_client).reason(0)) != on);
  TestClient& all = f.connected("all");
  f.subscribe(all, "#");
  pass_time(f, std::chrono::seconds(1));
  if (!on) {
    CHECK(nothing(operator_client));
    return;
  }
  // connected, active, disconnected, inactive, total, expired, maximum
  CHECK(payloads(operator_client) == std::vector<std::string>{"2", "2", "0", "0", "2", "0", "2"});
  CHECK(payloads(all).empty());
  pass_time(f, std::chrono::seconds(5));
  CHECK(payloads(operator_client).empty());
  TestClient& late = f.connected("late", Version::kV5, 1);
  entry.filter = "$SYS/broker/subscriptions/count";
  send_subscribe(late, entry);
  expect<mqtt::SubackView>(late);
  const auto kept = expect<PublishView>(late);
  CHECK(kept.retain);
  CHECK(kept.payload == "2");
  pass_time(f, std::chrono::seconds(5));
  CHECK(payloads(operator_client) == std::vector<std::string>{"3", "3", "3", "3"});
  CHECK(rows(f.store) == 0);
}

// Some three mebibytes below many/.
void keep_many(BrokerFixture& f, TestClient& pub, int count, Qos qos) {
  const std::string payload(1000, 'x');
  for (int i = 0; i < count; ++i) {
    f.publish(pub, "many/" + std::to_string(i), payload, qos, true);
  }
  while (!nothing(pub)) {
  }
}

TEST_CASE("retained messages come as the connection takes them, however many there are") {
  BrokerOptions options;
  options.out_buffer_bytes_max = 512 << 10;
  BrokerFixture f(1, options);
  TestClient& pub = f.connected("pub");
  keep_many(f, pub, 3000, Qos::kAtMostOnce);
  TestClient& sub = f.connected("sub");
  mqtt::SubscriptionView entry;
  entry.filter = "many/#";
  send_subscribe(sub, entry);
  expect<mqtt::SubackView>(sub);
  std::set<std::string> seen;
  for (int i = 0; i < 2; ++i) {
    seen.emplace(expect<PublishView>(sub).topic);
  }
  CHECK(sub.held_view().size() < 2 * options.out_buffer_bytes_max);

  // What is published meanwhile reaches the subscriber once, and nothing older after it.
  std::vector<std::string> fresh;
  for (int i = 0; i < 3000 && fresh.size() < 50; ++i) {
    const std::string topic = "many/" + std::to_string(i);
    if (!seen.contains(topic)) {
      f.publish(pub, topic, i % 2 == 0 ? "new" : "", Qos::kAtMostOnce, true);
      fresh.push_back(topic);
    }
  }
  f.publish(pub, "many/another", "new", Qos::kAtMostOnce, true);
  std::map<std::string, std::vector<std::string>> got;
  for (;;) {
    const mqtt::PacketView packet = sub.receive();
    const auto* const publish = std::get_if<PublishView>(&packet);
    if (publish == nullptr) {
      break;
    }
    got[std::string(publish->topic)].emplace_back(publish->payload);
    seen.emplace(publish->topic);
  }
  CHECK(seen.size() == 3001);
  CHECK(got["many/another"].size() == 1);
  for (const std::string& topic : fresh) {
    CHECK(got[topic].back().size() <= 3);
  }
}

TEST_CASE("retained messages at QoS 1 wait for acknowledgements instead of being dropped") {
  BrokerOptions options;
  options.queued_messages_max = 100;
  BrokerFixture f(1, options);
  TestClient& pub = f.connected("pub");
  keep_many(f, pub, 2500, Qos::kAtLeastOnce);
  for (const bool persistent : {false, true}) {
    CAPTURE(persistent);
    TestClient& sub = f.client(Version::kV3);
    mqtt::ConnectView connect;
    connect.version = Version::kV3;
    connect.client_id = "sub";
    connect.clean_start = !persistent;
    sub.send(connect);
    f.settle();
    sub.receive();
    mqtt::SubscriptionView entry;
    entry.filter = "many/+";
    entry.qos = Qos::kAtLeastOnce;
    send_subscribe(sub, entry);
    f.settle();
    expect<mqtt::SubackView>(sub);
    std::set<std::string> seen;
    for (;;) {
      const mqtt::PacketView packet = sub.receive();
      const auto* const publish = std::get_if<PublishView>(&packet);
      if (publish == nullptr) {
        break;
      }
      seen.emplace(publish->topic);
      Ack ack;
      ack.type = mqtt::PacketType::kPuback;
      ack.packet_id = publish->packet_id;
      sub.send(ack);
      f.settle();
    }
    CHECK(seen.size() == 2500);
    sub.send(mqtt::Disconnect{});
    f.settle();
  }
}

TEST_CASE("a client that unsubscribes gets no more of the retained messages") {
  BrokerFixture f;
  TestClient& pub = f.connected("pub");
  keep_many(f, pub, 1000, Qos::kAtMostOnce);
  TestClient& sub = f.connected("sub");
  mqtt::SubscriptionView entry;
  entry.filter = "many/#";
  send_subscribe(sub, entry);
  mqtt::UnsubscribeView unsubscribe;
  unsubscribe.packet_id = PacketId{2};
  std::string filters;
  mqtt::append_entry(filters, std::string_view("many/#"));
  unsubscribe.filters = {filters, 1};
  sub.send(unsubscribe);
  CHECK(payloads(sub).size() < 500);
}

}  // namespace
}  // namespace iotcore::broker::test
