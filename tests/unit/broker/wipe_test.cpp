#include "broker/retained.h"
#include "tests/unit/broker/session_fixture.h"

#include <chrono>
#include <future>

namespace iotcore::broker::test {
namespace {

TEST_CASE("when a wipe returns, no session and no retained message is left, a will's neither") {
  BrokerFixture f(2);
  TestClient& there = f.client(mqtt::Version::kV5, 1);
  mqtt::ConnectView connect_there;
  connect_there.client_id = "there";
  connect_there.clean_start = false;
  connect_there.properties.set(mqtt::Property::kSessionExpiryInterval, 1000U);
  connect_there.will.emplace();
  connect_there.will->topic = "will";
  connect_there.will->payload = "gone";
  connect_there.will->retain = true;
  there.send(connect_there);
  f.settle();
  expect<mqtt::Connack>(there);
  f.subscribe(there, "t", Qos::kAtLeastOnce);
  begin(f, "away").lose();
  f.publish(f.connected("pub"), "kept", "x", Qos::kAtLeastOnce, true);
  CHECK(f.broker->retained().count() == 1);

  auto wiped = std::async(std::launch::async, [&f] { return f.broker->wipe(); });
  while (wiped.wait_for(std::chrono::milliseconds(0)) != std::future_status::ready) {
    f.settle();
  }
  REQUIRE(wiped.get());
  CHECK(rows_of(f, store::Table::kSessions).empty());
  CHECK(rows_of(f, store::Table::kRetained).empty());
  CHECK(f.broker->retained().count() == 0);
  CHECK(there.close_reason == CloseReason::kApiRequest);
}

}  // namespace
}  // namespace iotcore::broker::test
