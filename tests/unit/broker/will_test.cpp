// Wills: their delay, the end of the session, and a crash.
#include "broker/worker_sessions.h"
#include "tests/unit/broker/session_fixture.h"

#include <catch2/catch.hpp>

namespace iotcore::broker::test {
namespace {

using mqtt::Disconnect;
using mqtt::PacketType;
using mqtt::PublishView;
using namespace std::chrono_literals;

mqtt::ConnectView with_will(std::uint32_t delay_s, std::uint32_t expiry_s) {
  mqtt::ConnectView packet;
  packet.client_id = "device";
  packet.clean_start = false;
  packet.properties.set(mqtt::Property::kSessionExpiryInterval, expiry_s);
  packet.will.emplace();
  packet.will->topic = "will";
  packet.will->payload = "gone";
  packet.will->qos = Qos::kAtLeastOnce;
  packet.will->properties.set(mqtt::Property::kWillDelayInterval, delay_s);
  return packet;
}

TEST_CASE(
    "DISCONNECT may name an expiry above zero if only our maximum made the one of CONNECT zero"
) {
  BrokerOptions options;
  options.session_expiry_s_max = 0;
  BrokerFixture f(1, options);
  TestClient& watcher = f.connected("watcher");
  f.subscribe(watcher, "will");
  const bool asked = GENERATE(true, false);
  TestClient& device = f.client();
  device.send(with_will(0, asked ? 100 : 0));
  f.settle();
  Disconnect goodbye;
  goodbye.properties.set(mqtt::Property::kSessionExpiryInterval, 50U);
  device.send(goodbye);
  f.settle();
  CHECK(
      device.close_reason == (asked ? CloseReason::kClientDisconnect : CloseReason::kClientError)
  );
  CHECK(nothing(watcher) == asked);
}

TEST_CASE("a will waits for its delay or the end of the session, whichever is first") {
  const auto [delay_s, expiry_s, due_s] = GENERATE(
      table<std::uint32_t, std::uint32_t, int>({{5, 100, 5}, {100, 5, 5}, {0, 100, 0}, {7, 0, 0}})
  );
  const bool crashed = GENERATE(false, true);
  BrokerFixture f;
  TestClient& watcher = begin(f, "watcher");
  f.subscribe(watcher, "will", Qos::kAtLeastOnce);
  TestClient& device = f.client();
  device.send(with_will(delay_s, expiry_s));
  f.settle();
  if (crashed) {
    f.crash();
  } else {
    device.lose();
    f.settle();
  }
  TestClient& reader = crashed ? resume(f, "watcher") : watcher;
  if (due_s > 0) {
    f.pass(std::chrono::seconds(due_s - 1));
    CHECK(nothing(reader));
  }
  f.pass(1s);
  const auto will = expect<PublishView>(reader);
  CHECK(will.payload == "gone");
  send_ack(reader, PacketType::kPuback, will.packet_id);
  f.pass(200s);
  CHECK(nothing(reader));
  f.crash();
  TestClient& later = resume(f, "watcher");
  f.pass(1s);
  CHECK(nothing(later));
}

TEST_CASE("a client without a session that says goodbye leaves no will for after a crash") {
  BrokerFixture f;
  TestClient& watcher = begin(f, "watcher");
  f.subscribe(watcher, "will", Qos::kAtLeastOnce);
  TestClient& device = f.client();
  device.send(with_will(0, 0));
  f.settle();
  device.send(Disconnect{});
  f.settle();
  f.crash();
  TestClient& reader = resume(f, "watcher");
  f.pass(1s);
  CHECK(nothing(reader));
}

TEST_CASE("a will that waits is taken back by a new connection, unless that ends the session") {
  const bool clean = GENERATE(false, true);
  const bool taken_over = GENERATE(false, true);
  BrokerFixture f;
  TestClient& watcher = f.connected("watcher");
  f.subscribe(watcher, "will");
  TestClient& device = f.client();
  device.send(with_will(50, 100));
  f.settle();
  if (!taken_over) {
    device.lose();
    f.settle();
  }
  connect(f, "device", {.clean = clean});
  f.pass(60s);
  CHECK(nothing(watcher) == !clean);
}

}  // namespace
}  // namespace iotcore::broker::test
