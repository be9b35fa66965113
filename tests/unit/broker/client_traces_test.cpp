#include "broker/client_traces.h"

#include "broker/connections.h"
#include "broker/packet_summary.h"
#include "broker/printable.h"
#include "tests/unit/broker/session_fixture.h"

namespace iotcore::broker::test {
namespace {

using Kind = ClientTraceEvent::Kind;

ClientTrace::Page read(BrokerFixture& f, std::string_view id, std::uint64_t after = 0) {
  std::optional<Result<ClientTrace::Page>> answer;
  Connections(*f.broker).trace(std::string(id), after, [&](auto page) {
    answer = std::move(page);
  });
  f.settle();
  return **answer;
}

std::vector<std::string> lines(const ClientTrace::Page& page) {
  std::vector<std::string> out;
  for (const ClientTraceEvent& event : page.events) {
    out.push_back(std::string(name_of(event.kind)) + ' ' + event.what + ' ' + event.detail);
  }
  return out;
}

bool has(const std::vector<std::string>& lines, std::string_view wanted) {
  for (const std::string& line : lines) {
    if (line.find(wanted) != std::string::npos) {
      return true;
    }
  }
  UNSCOPED_INFO("not there: " << wanted);
  return false;
}

TEST_CASE("a trace begun before the client comes shows its CONNECT, packets and decisions") {
  BrokerFixture f;
  f.authorizer.denied = {{Action::kPublish, "secret"}};
  CHECK(read(f, "lamp").events.empty());
  TestClient& lamp = f.connected("lamp");
  f.subscribe(lamp, "a/+", Qos::kAtLeastOnce);
  f.publish(lamp, "a/b", "hello", Qos::kAtLeastOnce);
  f.publish(lamp, "secret", "hello", Qos::kAtLeastOnce, false, 8);
  lamp.send(mqtt::Disconnect{});
  f.settle();
  const std::vector<std::string> seen = lines(read(f, "lamp"));
  CHECK(has(seen, "RECEIVED CONNECT version=5 clean=true keep_alive="));
  CHECK(has(seen, "ALLOWED Connect"));
  CHECK(has(seen, "SENT CONNACK session_present=false reason=0x00 (success)"));
  CHECK(has(seen, "RECEIVED SUBSCRIBE id=1 filter=a/+ qos=1"));
  CHECK(has(seen, "ALLOWED Subscribe a/+"));
  CHECK(has(seen, "SENT SUBACK id=1 reasons=0x01"));
  CHECK(has(seen, "RECEIVED PUBLISH topic=a/b qos=1 id=7 bytes=5"));
  CHECK(has(seen, "ALLOWED Publish a/b"));
  CHECK(has(seen, "ALLOWED Receive a/b"));
  CHECK(has(seen, "SENT PUBLISH topic=a/b qos=1 id=1 bytes=5"));
  CHECK(has(seen, "SENT PUBACK id=7 reason=0x00"));
  CHECK(has(seen, "DENIED Publish secret"));
  CHECK(has(seen, "SENT PUBACK id=8 reason=0x87 (not_authorized) why="));
  CHECK(has(seen, "RECEIVED DISCONNECT reason=0x00"));
  CHECK(seen.back().starts_with("CLOSED CLIENT_INITIATED_DISCONNECT"));
}

TEST_CASE("a client that is there is traced from the first look on, and nobody else is") {
  BrokerFixture f;
  TestClient& lamp = f.connected("lamp");
  TestClient& other = f.connected("other");
  f.publish(lamp, "before", "x");
  CHECK(read(f, "lamp").events.empty());
  f.publish(lamp, "after", "x");
  f.publish(other, "elsewhere", "x");
  const ClientTrace::Page page = read(f, "lamp");
  CHECK(has(lines(page), "PUBLISH topic=after"));
  CHECK(page.events.size() == 2);
  CHECK(read(f, "lamp", page.next).events.empty());
}

TEST_CASE("a trace shows the answers that waited for the store") {
  BrokerFixture f;
  begin(f, "lamp").lose();
  read(f, "lamp");
  TestClient& lamp = begin(f, "lamp", {.clean = true});
  f.subscribe(lamp, "a/+", Qos::kAtLeastOnce);
  const std::vector<std::string> seen = lines(read(f, "lamp"));
  CHECK(has(seen, "SENT CONNACK session_present=false reason=0x00"));
  CHECK(has(seen, "SENT SUBACK id=1 reasons=0x01"));
}

TEST_CASE("nothing that a client writes is a command to the terminal of who reads its trace") {
  CHECK(printable("a b\"c", 10) == "a b\"c");
  CHECK(printable("\x1b[2J\x7f", 10) == "\\x1b[2J\\x7f");
  CHECK(
      printable(
          "\xc2\x9b"
          "2J \xc2\xa7",
          10
      ) == "\\xc2\\x9b2J \xc2\xa7"
  );
  CHECK(printable("abc\xc3\xa9", 4) == "abc...");
  CHECK(printable("abc\xc3\xa9", 5) == "abc\xc3\xa9");
  BrokerFixture f;
  f.authorizer.denied = {{Action::kPublish, "a\x1b[2Jb"}};
  TestClient& lamp = f.connected("lamp");
  read(f, "lamp");
  f.publish(lamp, "a\x1b[2Jb", "x", Qos::kAtLeastOnce);
  mqtt::Disconnect packet;
  packet.reason = mqtt::Reason::kDisconnectWithWill;
  packet.properties.set(
      mqtt::Property::kReasonString,
      "bye \xc2\x9b"
      "2J"
  );
  lamp.send(packet);
  f.settle();
  const std::vector<std::string> seen = lines(read(f, "lamp"));
  CHECK(has(seen, "DENIED Publish a\\x1b[2Jb"));
  CHECK(has(seen, "why=\"bye \\xc2\\x9b2J\""));
}

TEST_CASE("a trace shows why a CONNECT is refused") {
  BrokerFixture f;
  f.authorizer.denied = {{Action::kConnect, "lamp"}};
  read(f, "lamp");
  f.connected("lamp");
  const std::vector<std::string> seen = lines(read(f, "lamp"));
  CHECK(has(seen, "DENIED Connect not allowed to connect"));
  CHECK(has(seen, "SENT CONNACK session_present=false reason=0x87"));
  CHECK(seen.back().starts_with("CLOSED AUTH_ERROR"));
}

TEST_CASE("a trace ends when nobody has looked for a while, and costs nothing then") {
  BrokerFixture f;
  TestClient& lamp = f.connected("lamp");
  read(f, "lamp");
  f.pass(ClientTraces::kLife + std::chrono::seconds(1));
  f.publish(lamp, "unseen", "x");
  CHECK(read(f, "lamp").events.empty());
}

TEST_CASE(
    "a trace keeps the latest events and says how many are missing; clients traced at once are "
    "limited"
) {
  ClientTraces traces;
  const MonotonicTime now = MonotonicTime{} + std::chrono::hours(1);
  REQUIRE(traces.read("a", 0, now));
  for (std::size_t i = 0; i < ClientTrace::kEventsKept + 10; ++i) {
    traces.find("a", now)->add({0, 0, Kind::kSent, "X", std::string(5000, 'x')});
  }
  const auto page = traces.read("a", 3, now);
  CHECK(page->events.size() == ClientTrace::kEventsKept);
  CHECK(page->missed == 7);
  CHECK(page->next == ClientTrace::kEventsKept + 10);
  CHECK(page->events.front().detail == std::string(ClientTrace::kDetailBytes, 'x') + "...");
  CHECK(traces.read("a", 1'000'000, now)->missed == 10);
  for (std::size_t i = 1; i < ClientTraces::kClientsMax; ++i) {
    REQUIRE(traces.read("c" + std::to_string(i), 0, now));
  }
  CHECK(traces.read("one too many", 0, now).error().code() == Errc::kThrottled);
  CHECK(traces.read("a", 0, now));
  CHECK(traces.read("one too many", 0, now + ClientTraces::kLife + std::chrono::seconds(1)));
}

TEST_CASE("a summary shows neither payloads nor passwords, and no control characters") {
  mqtt::ConnectView connect;
  connect.user_name = "alice";
  connect.password = "topsecret";
  connect.will.emplace();
  connect.will->topic = "w";
  connect.will->payload = "lastwords";
  const std::string connected = summarize(connect).detail;
  CHECK(connected.find("password=given") != std::string::npos);
  for (const char* hidden : {"alice", "topsecret", "lastwords"}) {
    CHECK(connected.find(hidden) == std::string::npos);
  }
  mqtt::PublishView publish;
  publish.topic = "a\nb";
  publish.payload = "private";
  publish.properties.set(mqtt::Property::kTopicAlias, 3);
  CHECK(summarize(publish).detail == "topic=a\\x0ab qos=0 alias=3 bytes=7");
  mqtt::SubscribeView subscribe;
  std::string entries;
  mqtt::append_entry(entries, mqtt::SubscriptionView{.filter = "a/#"});
  subscribe.packet_id = PacketId{2};
  subscribe.entries = {entries, 1};
  CHECK(summarize(subscribe).detail == "id=2 filter=a/# qos=0");
  CHECK(summarize(mqtt::Pingreq{}).name == "PINGREQ");
}

}  // namespace
}  // namespace iotcore::broker::test
