#include "tests/unit/broker/broker_fixture.h"

#include <catch2/catch.hpp>

namespace iotcore::broker::test {
namespace {

void pass(BrokerFixture& f, std::chrono::milliseconds time) {
  f.clock.advance(time);
  f.timers.advance(f.clock.now());
  f.settle();
}

TEST_CASE(
    "MQTT-3.1.2-22: silence for one and a half keep alives ends the connection, a packet puts it "
    "off"
) {
  BrokerFixture f;
  const auto connect = [&f](std::string_view id, std::uint16_t keep_alive_s) -> TestClient& {
    TestClient& client = f.client();
    mqtt::ConnectView packet;
    packet.client_id = id;
    packet.keep_alive_s = keep_alive_s;
    client.send(packet);
    client.receive();
    return client;
  };
  TestClient& silent = connect("silent", 10);
  TestClient& lively = connect("lively", 10);
  TestClient& patient = connect("patient", 60);
  TestClient& never = connect("never", 0);
  pass(f, std::chrono::milliseconds(14'999));
  lively.send(mqtt::Pingreq{});
  CHECK(std::holds_alternative<mqtt::Pingresp>(lively.receive()));
  f.settle();
  CHECK_FALSE(silent.close_reason);
  pass(f, std::chrono::milliseconds(2));
  CHECK(std::get<mqtt::Disconnect>(silent.receive()).reason == mqtt::Reason::kKeepAliveTimeout);
  CHECK(silent.close_reason == CloseReason::kKeepAliveTimeout);
  pass(f, std::chrono::milliseconds(14'990));
  CHECK_FALSE(lively.close_reason);
  pass(f, std::chrono::milliseconds(20));
  CHECK(lively.close_reason == CloseReason::kKeepAliveTimeout);
  CHECK_FALSE(patient.close_reason);
  pass(f, std::chrono::hours(1));
  CHECK(patient.close_reason == CloseReason::kKeepAliveTimeout);
  CHECK_FALSE(never.close_reason);
}

}  // namespace
}  // namespace iotcore::broker::test
