#include "base/memory_use.h"
#include "broker/connect_admission.h"
#include "broker/message_limits.h"
#include "broker/retained.h"
#include "tests/unit/broker/packets.h"

#include <sstream>

namespace iotcore::broker::test {
namespace {

using mqtt::Ack;
using mqtt::Connack;
using mqtt::Disconnect;
using mqtt::Property;
using mqtt::PublishView;
using mqtt::Version;

// How often that limit is counted, over all workers.
double reached(BrokerFixture& f, std::string_view limit) {
  double sum = 0;
  std::istringstream text(f.metrics.to_text());
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with("iotcore_limits_reached_total") &&
        line.find("limit=\"" + std::string(limit) + '"') != std::string::npos) {
      sum += std::stod(line.substr(line.rfind(' ')));
    }
  }
  return sum;
}

// Keeps memory full, as far as what is allowed goes.
class FullMemory {
 public:
  FullMemory() { MemoryUse::set_ceiling(1); }

  ~FullMemory() { MemoryUse::set_ceiling(0); }

  FullMemory(const FullMemory&) = delete;
  FullMemory& operator=(const FullMemory&) = delete;

 private:
  Message::Ref held_ = Message::make({});
};

TEST_CASE("what clients can have logged as often as they like is for all to see ten times a second"
) {
  BrokerFixture f;
  WorkerBroker& worker = *f.workers.brokers_[0];
  for (int second = 0; second < 2; ++second) {
    for (int i = 0; i < 10; ++i) {
      CHECK(worker.refusal_log_level() == LogLevel::kInfo);
    }
    CHECK(worker.refusal_log_level() == LogLevel::kDebug);
    f.pass(std::chrono::seconds(1));
  }
}

TEST_CASE("payload and properties are held against their limits, at the limit and one above") {
  BrokerOptions options;
  options.payload_bytes_max = 10;
  options.content_type_bytes_max = 4;
  options.correlation_data_bytes_max = 4;
  options.user_properties_bytes_max = 6;
  const auto limit_of = [&](std::string_view payload, const mqtt::PropertiesView& properties) {
    const auto refusal = check_message(payload, properties, options);
    return refusal ? refusal->limit : std::nullopt;
  };
  CHECK_FALSE(limit_of("0123456789", {}));
  CHECK(limit_of("0123456789a", {}) == Limit::kPayload);
  mqtt::PropertiesView properties;
  CHECK_FALSE(limit_of("", properties.set(Property::kContentType, "text")));
  CHECK(limit_of("", properties.set(Property::kContentType, "texts")) == Limit::kContentType);
  properties.clear();
  CHECK_FALSE(limit_of("", properties.set(Property::kCorrelationData, "1234")));
  CHECK(
      limit_of("", properties.set(Property::kCorrelationData, "12345")) == Limit::kCorrelationData
  );
  properties.clear();
  std::string repeated;
  mqtt::append_user_property(repeated, "ab", "c");
  mqtt::append_user_property(repeated, "", "def");
  CHECK_FALSE(limit_of("", properties.set_repeated(repeated)));
  mqtt::append_user_property(repeated, "g", "");
  CHECK(limit_of("", properties.set_repeated(repeated)) == Limit::kUserProperties);
}

TEST_CASE("a message expiry is cut to the maximum, and raised to a second where there is one") {
  BrokerOptions options;
  CHECK(message_expiry_s(0, options) == 0);
  CHECK(message_expiry_s(4'000'000'000, options) == 4'000'000'000);
  options.message_expiry_s_max = 604'800;
  CHECK(message_expiry_s(0, options) == 1);
  CHECK(message_expiry_s(604'800, options) == 604'800);
  CHECK(message_expiry_s(604'801, options) == 604'800);
}

TEST_CASE(
    "too large a payload ends the connection with 0x95, too many levels or bytes of a topic with "
    "0x90"
) {
  BrokerFixture f(1, strict_options());
  TestClient& large = f.connected("large");
  f.publish(large, "a", std::string(128 << 10, 'x'), Qos::kAtLeastOnce);
  CHECK_FALSE(mqtt::is_error(expect<Ack>(large).reason));
  f.publish(large, "a", std::string((128 << 10) + 1, 'x'), Qos::kAtLeastOnce);
  CHECK(expect<Disconnect>(large).reason == mqtt::Reason::kPacketTooLarge);
  CHECK(reached(f, "payload") == 1);

  TestClient& deep = f.connected("deep");
  f.publish(deep, "1/2/3/4/5/6/7/8", "x", Qos::kAtLeastOnce);
  CHECK_FALSE(mqtt::is_error(expect<Ack>(deep).reason));
  f.publish(deep, "1/2/3/4/5/6/7/8/9", "x", Qos::kAtLeastOnce);
  CHECK(expect<Ack>(deep).reason == mqtt::Reason::kTopicNameInvalid);
  f.publish(deep, std::string(256, 't'), "x", Qos::kAtLeastOnce);
  CHECK_FALSE(mqtt::is_error(expect<Ack>(deep).reason));
  f.publish(deep, std::string(257, 't'), "x", Qos::kAtLeastOnce);
  CHECK(expect<Ack>(deep).reason == mqtt::Reason::kTopicNameInvalid);
  // What names a rule does not count.
  CHECK(is_publish_topic("$aws/rules/r/1/2/3/4/5/6/7/8", {256, 8}));
  CHECK_FALSE(is_publish_topic("$aws/rules/r/1/2/3/4/5/6/7/8/9", {256, 8}));
  CHECK(is_publish_topic("$aws/rules/r", {256, 8}));
}

TEST_CASE("filters of one SUBSCRIBE and subscriptions of one client are bounded") {
  const Version version = GENERATE(Version::kV3, Version::kV5);
  BrokerFixture f(1, strict_options());
  TestClient& client = f.connected("client", version);
  const auto subscribe = [&](int from, int to) {
    std::string entries;
    for (int i = from; i < to; ++i) {
      mqtt::SubscriptionView entry;
      const std::string filter = "f/" + std::to_string(i);
      entry.filter = filter;
      mqtt::append_entry(entries, entry);
    }
    mqtt::SubscribeView packet;
    packet.packet_id = PacketId{1};
    packet.entries = {entries, static_cast<std::size_t>(to - from)};
    client.send(packet);
    f.settle();
    const auto suback = expect<mqtt::SubackView>(client);
    std::vector<mqtt::Reason> reasons;
    for (std::size_t i = 0; i < suback.count(); ++i) {
      reasons.push_back(suback.reason(i));
    }
    return reasons;
  };
  const mqtt::Reason refused =
      version == Version::kV5 ? mqtt::Reason::kQuotaExceeded : mqtt::Reason::kUnspecifiedError;
  CHECK(subscribe(0, 9) == std::vector<mqtt::Reason>(9, refused));
  CHECK(reached(f, "filters_per_subscribe") == 1);
  for (int i = 0; i < 48; i += 8) {
    CHECK(subscribe(i, i + 8) == std::vector<mqtt::Reason>(8, mqtt::Reason::kSuccess));
  }
  CHECK(
      subscribe(48, 51) ==
      std::vector<mqtt::Reason>{mqtt::Reason::kSuccess, mqtt::Reason::kSuccess, refused}
  );
  CHECK(subscribe(49, 50) == std::vector<mqtt::Reason>{mqtt::Reason::kSuccess});
  CHECK(reached(f, "subscriptions") == 1);
}

TEST_CASE("shared subscriptions and their members are bounded, and room comes back") {
  BrokerOptions options;
  options.share_groups_max = 2;
  options.share_members_max = 2;
  BrokerFixture f(2, options);
  const auto join = [&](TestClient& client, const char* filter) {
    mqtt::SubscriptionView entry;
    entry.filter = filter;
    std::string entries;
    mqtt::append_entry(entries, entry);
    mqtt::SubscribeView packet;
    packet.packet_id = PacketId{1};
    packet.entries = {entries, 1};
    client.send(packet);
    f.settle();
    return expect<mqtt::SubackView>(client).reason(0);
  };
  TestClient& a = f.connected("a");
  TestClient& b = f.connected("b");
  TestClient& c = f.connected("c");
  CHECK_FALSE(mqtt::is_error(join(a, "$share/g/t")));
  CHECK_FALSE(mqtt::is_error(join(b, "$share/g/t")));
  CHECK(join(c, "$share/g/t") == mqtt::Reason::kQuotaExceeded);
  CHECK_FALSE(mqtt::is_error(join(a, "$share/g/t")));  // it is a member
  CHECK_FALSE(mqtt::is_error(join(c, "$share/h/t")));
  CHECK(join(c, "$share/g/u") == mqtt::Reason::kQuotaExceeded);
  CHECK_FALSE(mqtt::is_error(join(c, "t")));
  CHECK(reached(f, "shared_groups") == 2);
  b.lose();
  f.settle();
  CHECK_FALSE(mqtt::is_error(join(c, "$share/g/t")));
  a.lose();
  c.lose();
  f.settle();
  TestClient& d = f.connected("d");
  CHECK_FALSE(mqtt::is_error(join(d, "$share/i/t")));
  CHECK_FALSE(mqtt::is_error(join(d, "$share/j/t")));
}

TEST_CASE("retained messages of all clients are held to a rate") {
  BrokerOptions options;
  options.retained_per_s_max = 3;
  BrokerFixture f(1, options);
  TestClient& client = f.connected("c");
  for (int i = 0; i < 5; ++i) {
    f.publish(client, "t/" + std::to_string(i), "x", Qos::kAtMostOnce, true);
  }
  CHECK(f.broker->retained().count() == 3);
  CHECK(reached(f, "retained") == 2);
  pass_time(f, std::chrono::seconds(1));
  f.publish(client, "t/4", "x", Qos::kAtMostOnce, true);
  CHECK(f.broker->retained().count() == 4);
}

TEST_CASE(
    "what has waited for a client goes out at a rate, in order, and what is new comes after it"
) {
  BrokerOptions options;
  options.stored_messages_per_s_max = 10;
  BrokerFixture f(1, options);
  const auto come = [&]() -> TestClient& {
    TestClient& client = f.client(Version::kV3);
    mqtt::ConnectView connect;
    connect.version = Version::kV3;
    connect.client_id = "away";
    connect.clean_start = false;
    client.send(connect);
    f.settle();
    expect<mqtt::Connack>(client);
    return client;
  };
  TestClient& first = come();
  f.subscribe(first, "t", Qos::kAtLeastOnce);
  first.lose();
  TestClient& pub = f.connected("pub");
  for (std::uint16_t i = 1; i <= 25; ++i) {
    f.publish(pub, "t", std::to_string(i), Qos::kAtLeastOnce, false, i);
  }
  TestClient& back = come();
  f.settle();
  std::vector<std::string> got = payloads(back);
  CHECK(got.size() == 10);
  f.publish(pub, "t", "new", Qos::kAtLeastOnce, false, 26);
  for (int i = 0; i < 20; ++i) {
    pass_time(f, std::chrono::milliseconds(100));
  }
  for (std::string& payload : payloads(back)) {
    got.push_back(std::move(payload));
  }
  REQUIRE(got.size() == 26);
  for (std::size_t i = 0; i < 25; ++i) {
    CHECK(got[i] == std::to_string(i + 1));
  }
  CHECK(got[25] == "new");
  CHECK(reached(f, "stored_rate") > 0);
}

TEST_CASE("above its rate a client is read more slowly, and nothing is lost") {
  BrokerOptions options;
  options.publishes_per_s_max = 10;
  BrokerFixture f(1, options);
  TestClient& sub = f.connected("sub");
  f.subscribe(sub, "t");
  TestClient& pub = f.connected("pub");
  for (int i = 0; i < 30; ++i) {
    f.publish(pub, "t", "x");
  }
  CHECK(payloads(sub).size() == 11);  // the one above the rate is the last that is taken
  pass_time(f, std::chrono::seconds(1));
  const std::size_t next = payloads(sub).size();
  CHECK(next >= 1);
  for (int i = 0; i < 40; ++i) {
    pass_time(f, std::chrono::milliseconds(100));
  }
  CHECK(11 + next + payloads(sub).size() == 30);
  CHECK(reached(f, "publish_rate") > 0);
  CHECK_FALSE(pub.close_reason);
}

TEST_CASE("as on AWS, publishes above the rate may be dropped and left unanswered") {
  BrokerFixture f(1, strict_options());
  TestClient& sub = f.connected("sub");
  f.subscribe(sub, "t");
  TestClient& pub = f.connected("pub");
  for (std::uint16_t i = 1; i <= 150; ++i) {
    f.publish(pub, "t", "x", Qos::kAtLeastOnce, false, i);
  }
  CHECK(payloads(sub).size() == 100);
  std::size_t acks = 0;
  while (!nothing(pub)) {
    ++acks;
  }
  CHECK(acks == 100);
  CHECK_FALSE(pub.close_reason);
}

TEST_CASE("a client is not timed out while it is kept waiting") {
  BrokerOptions options;
  options.publish_bytes_per_s_max = 10;
  BrokerFixture f(1, options);
  TestClient& pub = f.client();
  mqtt::ConnectView connect;
  connect.client_id = "pub";
  connect.keep_alive_s = 2;
  pub.send(connect);
  f.publish(pub, "t", std::string(200, 'x'));
  for (int i = 0; i < 19; ++i) {
    pass_time(f, std::chrono::seconds(1));
    CHECK_FALSE(pub.close_reason);
  }
  for (int i = 0; i < 6; ++i) {
    pass_time(f, std::chrono::seconds(1));
  }
  CHECK(pub.close_reason == CloseReason::kKeepAliveTimeout);
}

TEST_CASE(
    "connections are bounded by rate, of all clients and of each, and by the packets they take"
) {
  BrokerOptions options;
  options.connects_per_s_max = 20;
  options.connects_per_s_of_client_max = 1;
  options.client_packet_bytes_min = 512;
  ConnectAdmission admission(options, 2);
  MonotonicTime now(std::chrono::seconds(5));
  mqtt::ConnectView connect;
  connect.client_id = "a";
  CHECK_FALSE(admission.check(connect, now));
  CHECK(admission.check(connect, now)->limit == Limit::kConnectRateOfClient);
  now += std::chrono::seconds(1);
  CHECK_FALSE(admission.check(connect, now));
  int taken = 0;
  for (int i = 0; i < 30; ++i) {
    const std::string id = "b" + std::to_string(i);
    connect.client_id = id;
    const auto refusal = admission.check(connect, now);
    taken += refusal ? 0 : 1;
    CHECK((!refusal || refusal->limit == Limit::kConnectRate));
  }
  CHECK(taken == 9);  // this worker's half of 20, and one was taken before
  now += std::chrono::seconds(1);
  connect.client_id = "c";
  connect.properties.set(Property::kMaximumPacketSize, 511);
  CHECK(admission.check(connect, now)->reason == mqtt::Reason::kQuotaExceeded);
  connect.properties.set(Property::kMaximumPacketSize, 512);
  CHECK_FALSE(admission.check(connect, now));
}

TEST_CASE("retained messages of one topic may have to keep a distance in time") {
  BrokerFixture f(1, strict_options());
  TestClient& pub = f.connected("pub");
  const auto keep = [&](std::string_view payload) {
    f.publish(pub, "state", payload, Qos::kAtLeastOnce, true);
    return expect<Ack>(pub).reason;
  };
  CHECK(keep("1") == mqtt::Reason::kNoMatchingSubscribers);
  CHECK(keep("2") == mqtt::Reason::kQuotaExceeded);
  pass_time(f, std::chrono::seconds(1));
  CHECK(keep("3") == mqtt::Reason::kNoMatchingSubscribers);
  CHECK(reached(f, "retained") == 1);
}

TEST_CASE("while memory is full, nothing new is let in, and what is there goes on") {
  BrokerFixture f;
  TestClient& sub = f.connected("sub");
  f.subscribe(sub, "t", Qos::kAtLeastOnce);
  TestClient& pub = f.connected("pub");
  {
    const FullMemory full;
    TestClient& late = f.client();
    mqtt::ConnectView connect;
    connect.client_id = "late";
    late.send(connect);
    CHECK(expect<Connack>(late).reason == mqtt::Reason::kQuotaExceeded);
    mqtt::SubscriptionView entry;
    entry.filter = "more";
    send_subscribe(sub, entry);
    CHECK(expect<mqtt::SubackView>(sub).reason(0) == mqtt::Reason::kQuotaExceeded);
    f.publish(pub, "t", "kept", Qos::kAtLeastOnce, true);
    CHECK(expect<Ack>(pub).reason == mqtt::Reason::kQuotaExceeded);
    CHECK(expect<PublishView>(sub).payload == "kept");
    // The publisher waits a little before it is read again.
    f.publish(pub, "t", "waits", Qos::kAtLeastOnce);
    CHECK(nothing(sub));
    CHECK(reached(f, "memory") >= 3);
  }
  CHECK(f.broker->retained().count() == 0);
  pass_time(f, std::chrono::seconds(1));
  CHECK(expect<PublishView>(sub).payload == "waits");
  CHECK_FALSE(mqtt::is_error(expect<Ack>(pub).reason));
}

TEST_CASE("what is unsent to a client is bounded at QoS 1 too, and goes on when it is acknowledged"
) {
  const bool persistent = GENERATE(false, true);
  BrokerOptions options;
  options.out_buffer_bytes_max = 10'000;
  options.queued_messages_max = 20;
  BrokerFixture f(1, options);
  TestClient& sub = f.client();
  mqtt::ConnectView connect;
  connect.client_id = "sub";
  if (persistent) {
    connect.properties.set(Property::kSessionExpiryInterval, 100);
  }
  sub.send(connect);
  f.settle();
  expect<Connack>(sub);
  f.subscribe(sub, "t", Qos::kAtLeastOnce);
  TestClient& pub = f.connected("pub");
  for (std::uint16_t i = 1; i <= 40; ++i) {
    f.publish(pub, "t", std::string(1000, 'x'), Qos::kAtLeastOnce, false, i);
  }
  std::size_t got = 0;
  for (;;) {
    f.settle();
    const mqtt::PacketView packet = sub.receive();
    if (std::holds_alternative<std::monostate>(packet)) {
      break;
    }
    ++got;
    CHECK(got < 31);
    Ack ack;
    ack.packet_id = std::get<PublishView>(packet).packet_id;
    sub.send(ack);
  }
  CHECK(got == 30);  // ten and a little unsent, twenty in the queue
  CHECK(f.workers.brokers_[0]->counters().dropped_queue_full.value() == 10);
}

TEST_CASE("what is on its way to another worker is bounded at QoS 0, and QoS 1 goes through") {
  BrokerOptions options;
  options.mailbox_bytes_max = 100'000;
  BrokerFixture f(2, options);
  TestClient& sub = f.connected("sub", Version::kV5, 1);
  f.subscribe(sub, "t", Qos::kAtLeastOnce);
  TestClient& pub = f.connected("pub", Version::kV5, 0);
  PublishView publish;
  publish.topic = "t";
  const std::string payload(1000, 'x');
  publish.payload = payload;
  // The other worker does not get to run.
  for (int turn = 0; turn < 10; ++turn) {
    for (int i = 0; i < 50; ++i) {
      pub.send(publish);
    }
    f.workers.brokers_[0]->end_turn();
  }
  publish.qos = Qos::kAtLeastOnce;
  publish.packet_id = PacketId{1};
  publish.payload = "important";
  pub.send(publish);
  f.workers.brokers_[0]->end_turn();
  const std::uint64_t dropped = f.workers.brokers_[0]->counters().dropped_mailbox.value();
  CHECK(dropped > 380);
  CHECK(dropped < 420);
  f.settle();
  const std::vector<std::string> got = payloads(sub);
  CHECK(got.size() == 501 - dropped);
  CHECK(got.back() == "important");
  f.publish(pub, "t", "again");
  CHECK(payloads(sub) == std::vector<std::string>{"again"});
}

}  // namespace
}  // namespace iotcore::broker::test
