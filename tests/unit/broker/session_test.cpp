// Sessions: QoS 2, what outlives a connection, and what outlives the process.
#include "broker/stored_sessions.h"
#include "broker/worker_sessions.h"
#include "tests/unit/broker/session_fixture.h"

#include <catch2/catch.hpp>

namespace iotcore::broker::test {
namespace {

using mqtt::Ack;
using mqtt::Connack;
using mqtt::Disconnect;
using mqtt::PacketType;
using mqtt::PublishView;
using mqtt::Version;
using namespace std::chrono_literals;

TEST_CASE("QoS 2 goes once from a client to another, each half with its two exchanges") {
  const Version version = GENERATE(Version::kV3, Version::kV5);
  const bool clean = GENERATE(true, false);
  const std::size_t workers = GENERATE(1U, 2U);
  BrokerFixture f(workers);
  TestClient& sub = begin(f, "sub", {.version = version, .clean = clean, .worker = workers - 1});
  f.subscribe(sub, "t", Qos::kExactlyOnce);
  TestClient& pub = begin(f, "pub", {.version = version, .clean = clean});
  f.publish(pub, "t", "x", Qos::kExactlyOnce, false, 9);
  expect_ack(pub, PacketType::kPubrec, 9);
  f.publish(pub, "t", "x", Qos::kExactlyOnce, false, 9);  // repeated
  expect_ack(pub, PacketType::kPubrec, 9);
  const auto got = expect<PublishView>(sub);
  CHECK(got.qos == Qos::kExactlyOnce);
  CHECK_FALSE(got.dup);
  CHECK(nothing(sub));
  send_ack(pub, PacketType::kPubrel, PacketId{9});
  f.settle();
  expect_ack(pub, PacketType::kPubcomp, 9);
  send_ack(pub, PacketType::kPubrel, PacketId{9});
  f.settle();
  const Ack unknown = expect_ack(pub, PacketType::kPubcomp, 9);
  CHECK((unknown.reason == mqtt::Reason::kPacketIdNotFound) == (version == Version::kV5));
  send_ack(sub, PacketType::kPubrec, got.packet_id);
  f.settle();
  expect_ack(sub, PacketType::kPubrel, static_cast<std::uint16_t>(got.packet_id));
  send_ack(sub, PacketType::kPubcomp, got.packet_id);
  f.settle();
  CHECK(nothing(sub));
  // The identifier is free again.
  f.publish(pub, "t", "y", Qos::kExactlyOnce, false, 9);
  expect_ack(pub, PacketType::kPubrec, 9);
  CHECK(expect<PublishView>(sub).payload == "y");
}

TEST_CASE("a session waits for its client, across versions and connections") {
  const Version first = GENERATE(Version::kV3, Version::kV5);
  const Version second = GENERATE(Version::kV3, Version::kV5);
  const bool crashed = GENERATE(false, true);
  BrokerFixture f;
  TestClient& sub = begin(f, "sub", {.version = first});
  f.subscribe(sub, "t/+", Qos::kAtLeastOnce);
  sub.lose();
  TestClient& pub = f.connected("pub");
  f.publish(pub, "t/1", "a", Qos::kAtLeastOnce);
  expect_ack(pub, PacketType::kPuback, 7);
  f.publish(pub, "t/2", "b", Qos::kAtLeastOnce);
  f.publish(pub, "t/2", "lost", Qos::kAtMostOnce);
  if (crashed) {
    f.crash();
  }
  TestClient& again = resume(f, "sub", {.version = second});
  const auto a = expect<PublishView>(again);
  CHECK(a.payload == "a");
  CHECK(a.topic == "t/1");
  CHECK_FALSE(a.dup);
  const auto b = expect<PublishView>(again);
  CHECK(b.payload == "b");
  CHECK(nothing(again));
  send_ack(again, PacketType::kPuback, a.packet_id);
  send_ack(again, PacketType::kPuback, b.packet_id);
  f.settle();
  again.lose();
  CHECK(nothing(resume(f, "sub", {.version = second})));
  CHECK(rows_of(f, store::Table::kQueue).empty());
}

TEST_CASE("what was sent and not acknowledged comes again, with DUP and the same identifier") {
  const bool crashed = GENERATE(false, true);
  BrokerFixture f;
  TestClient& sub = begin(f, "sub");
  f.subscribe(sub, "t", Qos::kAtLeastOnce);
  TestClient& pub = f.connected("pub");
  for (const char* payload : {"a", "b", "c"}) {
    f.publish(pub, "t", payload, Qos::kAtLeastOnce);
  }
  expect<PublishView>(sub);
  const PacketId second = expect<PublishView>(sub).packet_id;
  const PacketId third = expect<PublishView>(sub).packet_id;
  send_ack(sub, PacketType::kPuback, second);
  f.settle();
  if (crashed) {
    f.crash();
  } else {
    sub.lose();
  }
  TestClient& again = resume(f, "sub");
  const auto a = expect<PublishView>(again);
  CHECK(a.payload == "a");
  CHECK(a.dup);
  const auto c = expect<PublishView>(again);
  CHECK(c.payload == "c");
  CHECK(c.dup);
  CHECK(c.packet_id == third);
  CHECK(nothing(again));
}

TEST_CASE("a QoS 2 delivery goes on where it was, after a crash too") {
  const bool crashed = GENERATE(false, true);
  BrokerFixture f;
  TestClient& sub = begin(f, "sub");
  f.subscribe(sub, "t", Qos::kExactlyOnce);
  TestClient& pub = f.connected("pub");
  f.publish(pub, "t", "a", Qos::kExactlyOnce, false, 1);
  f.publish(pub, "t", "b", Qos::kExactlyOnce, false, 2);
  const PacketId a = expect<PublishView>(sub).packet_id;
  const PacketId b = expect<PublishView>(sub).packet_id;
  send_ack(sub, PacketType::kPubrec, a);
  f.settle();
  expect_ack(sub, PacketType::kPubrel, static_cast<std::uint16_t>(a));
  if (crashed) {
    f.crash();
  } else {
    sub.lose();
  }
  TestClient& again = resume(f, "sub");
  expect_ack(again, PacketType::kPubrel, static_cast<std::uint16_t>(a));
  const auto repeated = expect<PublishView>(again);
  CHECK(repeated.payload == "b");
  CHECK(repeated.dup);
  CHECK(repeated.packet_id == b);
  send_ack(again, PacketType::kPubcomp, a);
  send_ack(again, PacketType::kPubrec, b);
  f.settle();
  expect_ack(again, PacketType::kPubrel, static_cast<std::uint16_t>(b));
  send_ack(again, PacketType::kPubcomp, b);
  f.settle();
  again.lose();
  CHECK(nothing(resume(f, "sub")));
}

TEST_CASE("a QoS 2 publish that was received is not taken twice, after a crash neither") {
  const std::size_t workers = GENERATE(1U, 2U);
  BrokerFixture f(workers);
  TestClient& sub = begin(f, "sub", {.worker = workers - 1});
  f.subscribe(sub, "t", Qos::kExactlyOnce);
  sub.lose();
  TestClient& pub = begin(f, "pub");
  f.publish(pub, "t", "a", Qos::kExactlyOnce, false, 3);
  expect_ack(pub, PacketType::kPubrec, 3);
  if (workers == 2) {
    // Where they are found again goes by their names, which here do not fit.
    pub.lose();
  } else {
    f.crash();
  }
  TestClient& again = resume(f, "pub");
  f.publish(again, "t", "a", Qos::kExactlyOnce, false, 3);
  expect_ack(again, PacketType::kPubrec, 3);
  send_ack(again, PacketType::kPubrel, PacketId{3});
  f.settle();
  expect_ack(again, PacketType::kPubcomp, 3);
  f.publish(again, "t", "b", Qos::kExactlyOnce, false, 3);
  TestClient& reader = resume(f, "sub", {.worker = workers - 1});
  CHECK(expect<PublishView>(reader).payload == "a");
  CHECK(expect<PublishView>(reader).payload == "b");
  CHECK(nothing(reader));
}

TEST_CASE("nothing is acknowledged before it is kept, and QoS 2 is not delivered before either") {
  BrokerFixture f;
  TestClient& once = begin(f, "once");
  f.subscribe(once, "t/1", Qos::kAtLeastOnce);
  TestClient& exactly = begin(f, "exactly");
  f.subscribe(exactly, "t/2", Qos::kExactlyOnce);
  TestClient& pub = begin(f, "pub");
  f.fault->hold();
  f.publish(pub, "t/1", "a", Qos::kAtLeastOnce, false, 1);
  f.publish(pub, "t/2", "b", Qos::kExactlyOnce, false, 2);
  f.publish(pub, "t/3", "c", Qos::kAtLeastOnce, false, 3);
  CHECK(nothing(pub));
  CHECK(expect<PublishView>(once).payload == "a");
  CHECK(nothing(exactly));
  f.fault->release();
  f.settle();
  expect_ack(pub, PacketType::kPuback, 1);
  expect_ack(pub, PacketType::kPubrec, 2);
  expect_ack(pub, PacketType::kPuback, 3);
  CHECK(expect<PublishView>(exactly).payload == "b");
}

TEST_CASE("MQTT-4.6.0-3: PUBREC keeps the order of the publishes, also of those that are repeated"
) {
  BrokerFixture f;
  TestClient& pub = begin(f, "pub");
  f.publish(pub, "t", "two", Qos::kExactlyOnce, false, 2);
  expect_ack(pub, PacketType::kPubrec, 2);
  f.fault->hold();
  f.publish(pub, "t", "one", Qos::kExactlyOnce, false, 1);
  f.publish(pub, "t", "two", Qos::kExactlyOnce, false, 2);
  f.publish(pub, "t", "one", Qos::kExactlyOnce, false, 1);
  CHECK(nothing(pub));
  pub.lose();
  // What was begun for one connection is answered on the next, when it is asked for there.
  TestClient& again = resume(f, "pub");
  f.publish(again, "t", "three", Qos::kExactlyOnce, false, 3);
  f.publish(again, "t", "two", Qos::kExactlyOnce, false, 2);
  f.publish(again, "t", "one", Qos::kExactlyOnce, false, 1);
  CHECK(nothing(again));
  f.fault->release();
  f.settle();
  for (const std::uint16_t id : {std::uint16_t{3}, std::uint16_t{2}, std::uint16_t{1}}) {
    expect_ack(again, PacketType::kPubrec, id);
  }
  CHECK(nothing(again));
}

TEST_CASE("what was received is answered when it is repeated, and not before") {
  BrokerFixture f;
  TestClient& pub = begin(f, "pub");
  f.fault->hold();
  f.publish(pub, "t", "one", Qos::kExactlyOnce, false, 1);
  pub.lose();
  TestClient& again = resume(f, "pub");
  f.fault->release();
  f.settle();
  CHECK(nothing(again));
  f.publish(again, "t", "one", Qos::kExactlyOnce, false, 1);
  expect_ack(again, PacketType::kPubrec, 1);
}

TEST_CASE("PUBREL does not leave before PUBREC is kept, however often that comes") {
  BrokerFixture f;
  TestClient& sub = begin(f, "sub");
  f.subscribe(sub, "t", Qos::kExactlyOnce);
  TestClient& pub = begin(f, "pub");
  f.publish(pub, "t", "x", Qos::kExactlyOnce, false, 1);
  const PacketId id = expect<PublishView>(sub).packet_id;
  f.fault->hold();
  send_ack(sub, PacketType::kPubrec, id);
  send_ack(sub, PacketType::kPubrec, id);
  f.settle();
  CHECK(nothing(sub));
  f.fault->release();
  f.settle();
  expect_ack(sub, PacketType::kPubrel, static_cast<std::uint16_t>(id));
  expect_ack(sub, PacketType::kPubrel, static_cast<std::uint16_t>(id));
  CHECK(nothing(sub));
}

TEST_CASE("a commit that fails is not acknowledged: a code in 5, a closed connection in 3.1.1") {
  const Version version = GENERATE(Version::kV3, Version::kV5);
  const Qos qos = GENERATE(Qos::kAtLeastOnce, Qos::kExactlyOnce);
  BrokerFixture f;
  TestClient& sub = begin(f, "sub");
  f.subscribe(sub, "t", qos);
  TestClient& pub = begin(f, "pub", {.version = version});
  f.fault->break_writes(Error(Errc::kStoreFull, "no space"));
  f.publish(pub, "t", "a", qos, false, 1);
  if (version == Version::kV5) {
    CHECK(expect<Ack>(pub).reason == mqtt::Reason::kQuotaExceeded);
  } else {
    CHECK(pub.close_reason == CloseReason::kServerError);
    pub.lose();
  }
  CHECK(nothing(sub) == (qos == Qos::kExactlyOnce));
  f.fault->mend();
  TestClient& again = version == Version::kV5 ? pub : resume(f, "pub", {.version = version});
  f.publish(again, "t", "a", qos, false, 1);
  CHECK_FALSE(mqtt::is_error(expect<Ack>(again).reason));
  CHECK(expect<PublishView>(sub).payload == "a");
}

TEST_CASE("what two sessions share is there for one when the other's answers could not be kept") {
  const Qos qos = GENERATE(Qos::kAtLeastOnce, Qos::kExactlyOnce);
  const auto answer = qos == Qos::kAtLeastOnce ? PacketType::kPuback : PacketType::kPubrec;
  const bool crashed = GENERATE(false, true);
  BrokerFixture f;
  for (const char* id : {"here", "away"}) {
    TestClient& client = begin(f, id);
    f.subscribe(client, "t", qos);
    client.lose();
  }
  TestClient& pub = begin(f, "pub");
  const std::string payload(100, 'a');
  // Of two messages the second is answered, so that its row is there again when the erasure fails.
  f.publish(pub, "t", payload, qos, false, 1);
  f.publish(pub, "t", payload, qos, false, 2);
  f.settle();
  if (crashed) {
    f.crash();
  }
  TestClient& here = resume(f, "here");
  expect<PublishView>(here);
  const PacketId second = expect<PublishView>(here).packet_id;
  f.fault->break_writes(Error(Errc::kStoreFull, "no space"));
  send_ack(here, answer, second);
  f.settle();
  f.fault->mend();
  here.lose();
  TestClient& again = resume(f, "here");
  for (int i = 0; i < 2; ++i) {
    const PacketId id = expect<PublishView>(again).packet_id;
    send_ack(again, answer, id);
  }
  f.settle();
  TestClient& away = resume(f, "away");
  CHECK(expect<PublishView>(away).payload == payload);
  CHECK(expect<PublishView>(away).payload == payload);
}

TEST_CASE(
    "rows of a commit that failed go with the first that succeeds, even if nothing else is written"
) {
  BrokerFixture f;
  TestClient& sub = begin(f, "sub");
  f.subscribe(sub, "t", Qos::kExactlyOnce);
  TestClient& pub = begin(f, "pub");
  f.settle();
  f.fault->break_writes(Error(Errc::kStoreIo, "no disk"));
  f.publish(pub, "t", "a", Qos::kExactlyOnce, false, 5);
  CHECK(mqtt::is_error(expect<Ack>(pub).reason));
  // As if the disk had the commit after all.
  const auto number = rows_of(f, store::Table::kSessions, "s").size();
  REQUIRE(number == 2);
  store::Batch ghosts;
  std::vector<std::string> keys;
  for (std::uint64_t session = 1; session <= 2; ++session) {
    keys.push_back(queue_key(session, 0));
    ghosts.put(store::Table::kQueue, keys.back(), "ghost");
    ghosts.put(store::Table::kSessions, received_key(session, PacketId{5}), "ghost");
  }
  REQUIRE(f.store.commit_wait(std::move(ghosts)));
  const auto pass = [&f] {
    f.clock.advance(1s);
    f.timers.advance(f.clock.now());
    f.settle();
  };
  pass();  // it still fails
  CHECK(rows_of(f, store::Table::kQueue).size() == 2);
  f.fault->mend();
  pass();
  // The subscriber's row and the publisher's identifier; the other two are nobody's.
  CHECK(rows_of(f, store::Table::kQueue).size() == 1);
  CHECK(rows_of(f, store::Table::kSessions, "r").size() == 1);
}

TEST_CASE("a QoS 2 publish for sessions of several workers is kept whole or not at all") {
  const bool written = GENERATE(false, true);
  BrokerFixture f(3);
  for (std::size_t worker = 0; worker < 3; ++worker) {
    TestClient& client = begin(f, "sub" + std::to_string(worker), {.worker = worker});
    f.subscribe(client, "t", Qos::kExactlyOnce);
    client.lose();
  }
  TestClient& pub = begin(f, "pub");
  f.settle();
  if (!written) {
    f.fault->break_writes(Error(Errc::kStoreIo, "no disk"));
  }
  f.publish(pub, "t", "a", Qos::kExactlyOnce, false, 5);
  CHECK(mqtt::is_error(expect<Ack>(pub).reason) != written);
  f.fault->mend();
  f.settle();
  CHECK(rows_of(f, store::Table::kQueue).size() == (written ? 3 : 0));
  CHECK(rows_of(f, store::Table::kSessions, "r").size() == (written ? 1 : 0));
  for (std::size_t worker = 0; worker < 3; ++worker) {
    TestClient& client = resume(f, "sub" + std::to_string(worker), {.worker = worker});
    CHECK(nothing(client) != written);
  }
  // It can be tried again with the same identifier.
  f.publish(pub, "t", "a", Qos::kExactlyOnce, false, 5);
  expect_ack(pub, PacketType::kPubrec, 5);
}

TEST_CASE("several workers write a QoS 2 publish in one commit") {
  BrokerFixture f(2);
  TestClient& sub = begin(f, "sub", {.worker = 1});
  f.subscribe(sub, "t", Qos::kExactlyOnce);
  TestClient& pub = begin(f, "pub");
  f.publish(
      pub, "t", "first", Qos::kExactlyOnce, false, 4
  );  // how far sending may go is written once for many
  expect_ack(pub, PacketType::kPubrec, 4);
  CHECK(expect<PublishView>(sub).payload == "first");
  f.fault->hold();
  f.publish(pub, "t", "a", Qos::kExactlyOnce, false, 5);
  CHECK(f.fault->held() == 1);
  CHECK(nothing(sub));
  CHECK(nothing(pub));
  f.fault->release();
  f.settle();
  expect_ack(pub, PacketType::kPubrec, 5);
  CHECK(expect<PublishView>(sub).payload == "a");
}

TEST_CASE("that an old session is gone is said when it is gone for good") {
  BrokerFixture f;
  TestClient& old = begin(f, "c");
  f.subscribe(old, "t", Qos::kAtLeastOnce);
  old.lose();
  f.settle();
  f.fault->hold();
  TestClient& fresh = connect(f, "c", {.clean = true});
  fresh.send(mqtt::Pingreq{});
  CHECK(nothing(fresh));
  f.fault->release();
  f.settle();
  CHECK_FALSE(expect<Connack>(fresh).session_present);
  expect<mqtt::Pingresp>(fresh);
}

TEST_CASE("the end of a session: clean start, expiry 0, and time") {
  BrokerFixture f;
  TestClient& pub = f.connected("pub");
  const auto publish = [&] { f.publish(pub, "t", "x", Qos::kAtLeastOnce); };
  TestClient& first = begin(f, "c", {.expiry_s = 10});
  f.subscribe(first, "t", Qos::kAtLeastOnce);
  first.lose();
  publish();
  f.pass(9s);
  TestClient& in_time = resume(f, "c", {.expiry_s = 10});
  CHECK(expect<PublishView>(in_time).payload == "x");
  in_time.lose();
  f.pass(11s);
  TestClient& late = begin(f, "c", {.expiry_s = 10});
  CHECK(nothing(late));
  f.subscribe(late, "t", Qos::kAtLeastOnce);
  late.lose();
  publish();
  TestClient& clean = begin(f, "c", {.clean = true, .expiry_s = 0});
  publish();
  CHECK(nothing(clean));
  clean.lose();
  TestClient& ends = begin(f, "c", {.expiry_s = 10});
  Disconnect disconnect;
  disconnect.properties.set(mqtt::Property::kSessionExpiryInterval, 0);
  ends.send(disconnect);
  f.settle();
  begin(f, "c", {.expiry_s = 0}).lose();
  f.settle();
  CHECK(f.broker->sessions().count() == 0);
  CHECK(rows_of(f, store::Table::kSessions).empty());
  CHECK(rows_of(f, store::Table::kQueue).empty());
}

TEST_CASE("a session's time goes on while the server is down, and it is capped") {
  BrokerOptions options;
  options.session_expiry_s_max = 100;
  BrokerFixture f(1, options);
  TestClient& client = connect(f, "c", {.expiry_s = 0xFFFFFFFF});
  CHECK(expect<Connack>(client).properties.number(mqtt::Property::kSessionExpiryInterval) == 100U);
  client.lose();
  f.settle();
  f.clock.advance(60s);
  f.crash();
  f.pass(39s);
  CHECK(f.broker->sessions().count() == 1);
  f.pass(2s);
  CHECK(f.broker->sessions().count() == 0);
}

TEST_CASE("a second connection takes the session over, with what the first had not acknowledged") {
  BrokerFixture f;
  TestClient& sub = begin(f, "sub");
  f.subscribe(sub, "t", Qos::kAtLeastOnce);
  TestClient& pub = f.connected("pub");
  f.publish(pub, "t", "x", Qos::kAtLeastOnce);
  const PacketId id = expect<PublishView>(sub).packet_id;
  TestClient& again = resume(f, "sub");
  CHECK(expect<Disconnect>(sub).reason == mqtt::Reason::kSessionTakenOver);
  sub.lose();
  f.settle();
  const auto got = expect<PublishView>(again);
  CHECK(got.dup);
  CHECK(got.packet_id == id);
  f.publish(pub, "t", "y", Qos::kAtLeastOnce);
  CHECK(expect<PublishView>(again).payload == "y");
}

}  // namespace
}  // namespace iotcore::broker::test
