#include "broker/retained.h"

#include "tests/unit/broker/packets.h"

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
  CHECK(payloads(operator_client) == std::vector<std::string>{"2", "2", "2"});
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
  CHECK(payloads(operator_client) == std::vector<std::string>{"3", "3", "3"});
  CHECK(rows(f.store) == 0);
}

}  // namespace
}  // namespace iotcore::broker::test
