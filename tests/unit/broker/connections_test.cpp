#include "broker/connections.h"

#include "tests/unit/broker/packets.h"
#include "tests/unit/broker/session_fixture.h"

#include <algorithm>
#include <vector>

namespace iotcore::broker::test {
namespace {

using mqtt::Ack;
using mqtt::Disconnect;
using mqtt::PublishView;
using mqtt::Version;

// A client on the worker that owns it.
TestClient& connected_at_home(
    BrokerFixture& f,
    std::string_view id,
    bool persistent = false,
    std::string_view will = {},
    std::uint32_t will_delay_s = 0
) {
  TestClient& client = f.client(Version::kV5, index(f.workers.owner_of(id)));
  mqtt::ConnectView connect;
  connect.client_id = id;
  connect.keep_alive_s = 60;
  if (persistent) {
    connect.clean_start = false;
    connect.properties.set(mqtt::Property::kSessionExpiryInterval, 3600);
  }
  if (!will.empty()) {
    connect.will.emplace();
    connect.will->topic = will;
    connect.will->payload = "gone";
    connect.will->properties.set(mqtt::Property::kWillDelayInterval, will_delay_s);
  }
  client.send(connect);
  f.settle();
  expect<mqtt::Connack>(client);
  return client;
}

template <typename T>
struct Answer {
  std::optional<Result<T>> result;

  Function<void(Result<T>)> taker() {
    return [this](Result<T> answer) { result = std::move(answer); };
  }
};

Result<ConnectionInfo> info_of(BrokerFixture& f, const std::string& id) {
  Answer<ConnectionInfo> answer;
  Connections(*f.broker).get(id, answer.taker());
  f.settle();
  return *answer.result;
}

Status removed(BrokerFixture& f, const std::string& id, bool clean, bool prevent_will) {
  Answer<void> answer;
  Connections(*f.broker).remove(id, clean, prevent_will, answer.taker());
  f.settle();
  return *answer.result;
}

DirectMessage direct_message(std::string_view topic, bool confirmation) {
  broker::PublishView view;
  view.topic = topic;
  view.payload = "hello";
  DirectMessage direct;
  direct.message = Message::make(view);
  direct.confirmation = confirmation;
  return direct;
}

TEST_CASE("what is known of a connection, and of a session whose client is away") {
  BrokerFixture f(2);
  CHECK(info_of(f, "nobody").error().code() == Errc::kNotFound);
  TestClient& client = connected_at_home(f, "device", true);
  const ConnectionInfo there = *info_of(f, "device");
  CHECK(there.connected);
  CHECK_FALSE(there.clean_session);
  CHECK(there.keep_alive_s == 60);
  CHECK(there.session_expiry_s == 3600);
  CHECK(there.connected_ms == to_epoch_ms(f.clock.wall()));
  f.clock.advance(std::chrono::seconds(5));
  client.lose();
  f.settle();
  const ConnectionInfo away = *info_of(f, "device");
  CHECK_FALSE(away.connected);
  CHECK(away.disconnected_ms == to_epoch_ms(f.clock.wall()));
  CHECK(away.disconnect_reason == CloseReason::kConnectionLost);
  CHECK(removed(f, "device", false, false));
  CHECK(info_of(f, "device"));
  CHECK(removed(f, "device", true, false));
  CHECK_FALSE(info_of(f, "device"));
  CHECK(removed(f, "device", true, false).error().code() == Errc::kNotFound);
}

TEST_CASE("a connection that is deleted is told 0x98; its will and its session go or stay as asked"
) {
  const bool prevent_will = GENERATE(true, false);
  const bool clean = GENERATE(true, false);
  BrokerFixture f;
  TestClient& watcher = f.connected("watcher");
  f.subscribe(watcher, "wills/#");
  TestClient& device = connected_at_home(f, "device", true, "wills/device");
  CHECK(removed(f, "device", clean, prevent_will));
  CHECK(expect<Disconnect>(device).reason == mqtt::Reason::kAdministrativeAction);
  CHECK(device.close_reason == CloseReason::kApiRequest);
  CHECK(nothing(watcher) == prevent_will);
  CHECK(info_of(f, "device").has_value() != clean);
}

TEST_CASE("a will that waits for its time goes with a client that is away, if that is asked") {
  const bool prevent_will = GENERATE(true, false);
  BrokerFixture f;
  TestClient& watcher = f.connected("watcher");
  f.subscribe(watcher, "wills/#");
  TestClient& device = connected_at_home(f, "device", true, "wills/device", 60);
  device.lose();
  f.settle();
  CHECK(removed(f, "device", false, prevent_will));
  CHECK(nothing(watcher));
  f.pass(std::chrono::seconds(61));
  CHECK(nothing(watcher) == prevent_will);
  CHECK(info_of(f, "device"));
}

TEST_CASE("subscriptions are listed by filter, connected or not") {
  BrokerFixture f;
  TestClient& device = connected_at_home(f, "device", true);
  f.subscribe(device, "b/+", Qos::kAtLeastOnce);
  f.subscribe(device, "$share/g/a");
  const auto list = [&] {
    Answer<std::vector<SubscriptionInfo>> answer;
    Connections(*f.broker).subscriptions("device", answer.taker());
    f.settle();
    return **answer.result;
  };
  REQUIRE(list().size() == 2);
  CHECK(list()[0].filter == "$share/g/a");
  CHECK(list()[1].filter == "b/+");
  CHECK(list()[1].qos == Qos::kAtLeastOnce);
  device.lose();
  f.settle();
  CHECK(list().size() == 2);
}

TEST_CASE("a direct message needs no subscription, and its confirmation is the client's PUBACK") {
  BrokerFixture f;
  TestClient& device = connected_at_home(f, "device");
  Answer<void> plain;
  Connections(*f.broker).send("device", direct_message("to/you", false), plain.taker());
  f.settle();
  CHECK(plain.result->has_value());
  CHECK(expect<PublishView>(device).topic == "to/you");

  Answer<void> confirmed;
  Connections(*f.broker).send("device", direct_message("to/you", true), confirmed.taker());
  f.settle();
  const auto got = expect<PublishView>(device);
  CHECK(got.qos == Qos::kAtLeastOnce);
  CHECK_FALSE(confirmed.result);
  Ack ack;
  ack.packet_id = got.packet_id;
  device.send(ack);
  f.settle();
  CHECK(confirmed.result->has_value());

  Answer<void> late;
  DirectMessage direct = direct_message("to/you", true);
  direct.timeout = std::chrono::seconds(3);
  Connections(*f.broker).send("device", std::move(direct), late.taker());
  f.settle();
  pass_time(f, std::chrono::seconds(2));
  CHECK_FALSE(late.result);
  pass_time(f, std::chrono::seconds(2));
  CHECK(late.result->error().code() == Errc::kTimeout);

  Answer<void> cut;
  Connections(*f.broker).send("device", direct_message("to/you", true), cut.taker());
  f.settle();
  device.lose();
  f.settle();
  CHECK(cut.result->error().code() == Errc::kTimeout);
  Answer<void> nobody;
  Connections(*f.broker).send("device", direct_message("to/you", true), nobody.taker());
  f.settle();
  CHECK(nobody.result->error().code() == Errc::kNotFound);
}

TEST_CASE("no two direct messages that are waited for have one packet identifier") {
  BrokerFixture f;
  TestClient& device = connected_at_home(f, "device");
  f.subscribe(device, "t", Qos::kAtLeastOnce);
  TestClient& pub = f.connected("pub");
  std::vector<PacketId> waited_for;
  const auto send_one = [&] {
    Connections(*f.broker).send("device", direct_message("to/you", true), [](const Status&) {});
    f.settle();
    return expect<PublishView>(device).packet_id;
  };
  for (int i = 0; i < 10; ++i) {
    waited_for.push_back(send_one());
  }
  // The session's own messages go on meanwhile, and further ones come and go.
  for (int i = 0; i < 200; ++i) {
    Ack ack;
    if (i % 10 == 0) {
      f.publish(pub, "t", "x", Qos::kAtLeastOnce);
      expect<Ack>(pub);
      ack.packet_id = expect<PublishView>(device).packet_id;
      device.send(ack);
    }
    ack.packet_id = send_one();
    REQUIRE(std::find(waited_for.begin(), waited_for.end(), ack.packet_id) == waited_for.end());
    device.send(ack);
    f.settle();
  }
}

TEST_CASE("no message of the session has the identifier of a direct one that is not acknowledged") {
  const bool persistent = GENERATE(false, true);
  const bool is_waited_for = GENERATE(false, true);
  BrokerOptions options;
  options.inflight_max = 65'535;
  BrokerFixture f(1, options);
  TestClient& device = connected_at_home(f, "device", persistent);
  f.subscribe(device, "t", Qos::kAtLeastOnce);
  TestClient& pub = f.connected("pub", Version::kV3);
  const auto publish = [&] {
    PublishView packet;
    packet.topic = "t";
    packet.qos = Qos::kAtLeastOnce;
    packet.packet_id = PacketId{7};
    pub.send(packet);
  };
  Ack ack;
  // From the beginning of the identifiers, from their middle, and over their end.
  for (int round = 0; round < 3; ++round) {
    Answer<void> answer;
    DirectMessage direct = direct_message("to/you", true);
    direct.timeout = std::chrono::seconds(3);
    Connections(*f.broker).send("device", std::move(direct), answer.taker());
    f.settle();
    const PacketId id = expect<PublishView>(device).packet_id;
    if (!is_waited_for) {
      pass_time(f, std::chrono::seconds(4));
      CHECK(answer.result->error().code() == Errc::kTimeout);
    }
    int before = 0;
    for (publish(); before < 70'000; ++before, publish()) {
      if (before % 500 == 499) {
        f.settle();
      }
      const mqtt::PacketView packet = device.receive();
      if (std::holds_alternative<std::monostate>(packet)) {
        break;  // this one waits
      }
      ack.packet_id = std::get<PublishView>(packet).packet_id;
      REQUIRE(ack.packet_id != id);
      device.send(ack);
    }
    CHECK(before > 32'000);
    CHECK(before < 65'535);
    f.settle();
    CHECK(nothing(device));
    ack.packet_id = id;
    device.send(ack);
    f.settle();
    CHECK((is_waited_for ? answer.result->has_value() : !answer.result->has_value()));
    const auto next = expect<PublishView>(device);
    CHECK(next.packet_id == id);
    device.send(ack);
    f.settle();
    CHECK(nothing(device));
  }
}

TEST_CASE("MQTT-3.3.4-9: direct messages count in the client's Receive Maximum") {
  BrokerFixture f;
  TestClient& device = connect(f, "device", {.clean = true, .expiry_s = 0, .receive_maximum = 2});
  expect<mqtt::Connack>(device);
  f.subscribe(device, "t", Qos::kAtLeastOnce);
  TestClient& pub = f.connected("pub");
  const auto send_direct = [&] {
    Connections(*f.broker).send("device", direct_message("to/you", true), [](const Status&) {});
    f.settle();
  };
  send_direct();
  const PacketId direct = expect<PublishView>(device).packet_id;
  f.publish(pub, "t", "1", Qos::kAtLeastOnce);
  f.publish(pub, "t", "2", Qos::kAtLeastOnce);
  CHECK(expect<PublishView>(device).payload == "1");
  CHECK(nothing(device));
  send_direct();
  CHECK(nothing(device));
  Ack ack;
  ack.packet_id = direct;
  device.send(ack);
  f.settle();
  CHECK(expect<PublishView>(device).payload == "2");
  CHECK(nothing(device));
}

TEST_CASE("a direct message does not go out before the CONNACK that waits for the store") {
  BrokerFixture f;
  connected_at_home(f, "device", true).lose();
  f.settle();
  f.fault->hold();
  TestClient& device = f.client(Version::kV5, index(f.workers.owner_of("device")));
  mqtt::ConnectView connect;
  connect.client_id = "device";  // and a clean start: the session that was there has to go first
  device.send(connect);
  f.settle();
  Answer<void> answer;
  Connections(*f.broker).send("device", direct_message("to/you", false), answer.taker());
  f.settle();
  CHECK(answer.result->error().code() == Errc::kThrottled);
  f.fault->release();
  f.settle();
  expect<mqtt::Connack>(device);
  CHECK(nothing(device));
}

TEST_CASE("a direct message goes only to who may receive its topic") {
  BrokerFixture f;
  f.authorizer.denied.emplace_back(Action::kReceive, "secret");
  TestClient& device = connected_at_home(f, "device");
  Answer<void> answer;
  Connections(*f.broker).send("device", direct_message("secret", false), answer.taker());
  f.settle();
  CHECK(answer.result->error().code() == Errc::kForbidden);
  CHECK(nothing(device));
}

}  // namespace
}  // namespace iotcore::broker::test
