#include "base/json.h"
#include "tests/unit/broker/packets.h"

#include <set>

namespace iotcore::broker::test {
namespace {

using mqtt::Connack;
using mqtt::PublishView;
using mqtt::Version;

struct Event {
  std::string topic;
  json::object body;
};

std::vector<Event> events(TestClient& watcher) {
  std::vector<Event> all;
  for (;;) {
    const mqtt::PacketView packet = watcher.receive();
    const auto* publish = std::get_if<PublishView>(&packet);
    if (publish == nullptr) {
      return all;
    }
    all.push_back({std::string(publish->topic), parse_json(publish->payload)->as_object()});
  }
}

std::set<std::string> keys(const json::object& object) {
  std::set<std::string> names;
  for (const auto& member : object) {
    names.emplace(member.key());
  }
  return names;
}

std::string text(const json::object& object, std::string_view key) {
  return std::string(object.at(key).as_string());
}

const std::set<std::string> kCommon = {
    "clientId", "timestamp", "eventType", "sessionIdentifier", "principalIdentifier"};

std::set<std::string> with(std::set<std::string> more) {
  more.insert(kCommon.begin(), kCommon.end());
  return more;
}

TEST_CASE("a connection begins and ends with an event, which carry the same session and version") {
  BrokerFixture f;
  TestClient& watcher = f.connected("watcher");
  f.subscribe(watcher, "$aws/events/presence/#");
  TestClient& device = f.connected("device", Version::kV3);
  std::vector<Event> seen = events(watcher);
  REQUIRE(seen.size() == 1);
  const Event connected = seen[0];
  CHECK(connected.topic == "$aws/events/presence/connected/device");
  CHECK(keys(connected.body) == with({"ipAddress", "versionNumber"}));
  CHECK(text(connected.body, "clientId") == "device");
  CHECK(text(connected.body, "eventType") == "connected");
  CHECK(connected.body.at("timestamp").as_int64() == to_epoch_ms(f.clock.wall()));
  CHECK(text(connected.body, "sessionIdentifier").size() == 36);

  device.send(mqtt::Disconnect{});
  f.settle();
  seen = events(watcher);
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].topic == "$aws/events/presence/disconnected/device");
  CHECK(
      keys(seen[0].body) == with({"clientInitiatedDisconnect", "disconnectReason", "versionNumber"})
  );
  CHECK(seen[0].body.at("clientInitiatedDisconnect").as_bool());
  CHECK(text(seen[0].body, "disconnectReason") == "CLIENT_INITIATED_DISCONNECT");
  CHECK(seen[0].body.at("versionNumber") == connected.body.at("versionNumber"));
  CHECK(seen[0].body.at("sessionIdentifier") == connected.body.at("sessionIdentifier"));

  f.connected("device");
  seen = events(watcher);
  REQUIRE(seen.size() == 1);
  CHECK(
      seen[0].body.at("versionNumber").to_number<std::uint64_t>() >
      connected.body.at("versionNumber").to_number<std::uint64_t>()
  );
}

TEST_CASE("the event says why a connection ended") {
  using Row = std::pair<CloseReason, const char*>;
  const Row row = GENERATE(
      Row{CloseReason::kConnectionLost, "CONNECTION_LOST"},
      Row{CloseReason::kAuthError, "AUTH_ERROR"},
      Row{CloseReason::kClientError, "CLIENT_ERROR"},
      Row{CloseReason::kForbidden, "FORBIDDEN_ACCESS"},
      Row{CloseReason::kKeepAliveTimeout, "MQTT_KEEP_ALIVE_TIMEOUT"},
      Row{CloseReason::kServerError, "SERVER_ERROR"},
      Row{CloseReason::kServerShutdown, "SERVER_INITIATED_DISCONNECT"},
      Row{CloseReason::kApiRequest, "API_INITIATED_DISCONNECT"},
      Row{CloseReason::kThrottled, "THROTTLED"},
      Row{CloseReason::kSlowReceiver, "THROTTLED"},
      Row{CloseReason::kWebsocketTtl, "WEBSOCKET_TTL_EXPIRATION"},
      Row{CloseReason::kCustomAuthTtl, "CUSTOMAUTH_TTL_EXPIRATION"}
  );
  BrokerFixture f;
  TestClient& watcher = f.connected("watcher");
  TestClient& device = f.connected("device");
  f.subscribe(watcher, "$aws/events/presence/disconnected/+");
  device.lose(row.first);
  f.settle();
  const std::vector<Event> seen = events(watcher);
  REQUIRE(seen.size() == 1);
  CHECK(text(seen[0].body, "disconnectReason") == row.second);
  CHECK_FALSE(seen[0].body.at("clientInitiatedDisconnect").as_bool());
}

TEST_CASE("a takeover is reported for the old connection, before the new one") {
  BrokerFixture f;
  TestClient& watcher = f.connected("watcher");
  f.connected("device");
  f.subscribe(watcher, "$aws/events/presence/#");
  f.connected("device");
  const std::vector<Event> seen = events(watcher);
  REQUIRE(seen.size() == 2);
  CHECK(text(seen[0].body, "disconnectReason") == "DUPLICATE_CLIENTID");
  CHECK(text(seen[1].body, "eventType") == "connected");
}

TEST_CASE(
    "who may not connect, or not publish its will, is reported as failed, each time as another"
) {
  BrokerFixture f;
  TestClient& watcher = f.connected("watcher");
  f.subscribe(watcher, "$aws/events/presence/#");
  f.authorizer.denied = {{Action::kConnect, "stranger"}, {Action::kPublish, "secret"}};
  f.connected("stranger");
  TestClient& willing = f.client();
  mqtt::ConnectView connect;
  connect.client_id = "willing";
  connect.will.emplace();
  connect.will->topic = "secret";
  willing.send(connect);
  f.settle();
  CHECK(expect<Connack>(willing).reason == mqtt::Reason::kNotAuthorized);
  const std::vector<Event> seen = events(watcher);
  REQUIRE(seen.size() == 2);
  for (const Event& event : seen) {
    CHECK(event.topic.starts_with("$aws/events/presence/connect_failed/"));
    CHECK(keys(event.body) == with({"ipAddress", "connectFailureReason"}));
    CHECK(text(event.body, "eventType") == "connect_failed");
    CHECK(text(event.body, "connectFailureReason") == "AUTHORIZATION_FAILED");
  }
  CHECK(seen[0].body.at("sessionIdentifier") != seen[1].body.at("sessionIdentifier"));
}

TEST_CASE("subscribing and unsubscribing are reported with the filters that it was about") {
  BrokerFixture f;
  TestClient& watcher = f.connected("watcher");
  f.subscribe(watcher, "$aws/events/subscriptions/+/device");
  TestClient& device = f.connected("device");
  f.subscribe(device, "a/+");
  std::vector<Event> seen = events(watcher);
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].topic == "$aws/events/subscriptions/subscribed/device");
  CHECK(keys(seen[0].body) == with({"topics"}));
  CHECK(to_json(seen[0].body.at("topics")) == R"(["a/+"])");
  std::string filters;
  mqtt::append_entry(filters, std::string_view("a/+"));
  mqtt::append_entry(filters, std::string_view("never/subscribed"));
  mqtt::UnsubscribeView unsubscribe;
  unsubscribe.packet_id = PacketId{2};
  unsubscribe.filters = {filters, 2};
  device.send(unsubscribe);
  f.settle();
  seen = events(watcher);
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].topic == "$aws/events/subscriptions/unsubscribed/device");
  CHECK(text(seen[0].body, "eventType") == "unsubscribed");
  CHECK(to_json(seen[0].body.at("topics")) == R"(["a/+"])");
}

TEST_CASE("clients whose id has a wildcard have no events") {
  BrokerFixture f;
  TestClient& watcher = f.connected("watcher");
  f.subscribe(watcher, "$aws/events/#");
  events(watcher);
  TestClient& device = f.connected("dev+ice");
  f.subscribe(device, "a");
  device.lose();
  f.settle();
  CHECK(events(watcher).empty());
}

TEST_CASE("version numbers grow from one run of the server to the next") {
  std::uint64_t before = 0;
  for (int run = 0; run < 2; ++run) {
    BrokerFixture f;
    f.clock.advance(std::chrono::hours(run));
    WorkerBroker worker(*f.broker, WorkerId{0}, f.timers);
    const std::uint64_t number = worker.next_session_number();
    CHECK(number > before);
    before = number + 1'000'000;
  }
}

}  // namespace
}  // namespace iotcore::broker::test
