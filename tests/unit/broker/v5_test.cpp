#include "base/memory_use.h"
#include "tests/unit/broker/packets.h"

namespace iotcore::broker::test {
namespace {

using mqtt::Ack;
using mqtt::Connack;
using mqtt::Disconnect;
using mqtt::Property;
using mqtt::PublishView;
using mqtt::Version;

TestClient& connect_with(
    BrokerFixture& f,
    std::string_view id,
    const mqtt::PropertiesView& properties,
    std::uint16_t keep_alive_s = 0
) {
  TestClient& client = f.client();
  mqtt::ConnectView connect;
  connect.client_id = id;
  connect.keep_alive_s = keep_alive_s;
  connect.properties = properties;
  client.send(connect);
  f.settle();
  return client;
}

void send_publish(
    BrokerFixture& f,
    TestClient& from,
    std::string_view topic,
    std::string_view payload,
    const mqtt::PropertiesView& properties,
    Qos qos = Qos::kAtMostOnce
) {
  PublishView publish;
  publish.topic = topic;
  publish.payload = payload;
  publish.properties = properties;
  publish.qos = qos;
  publish.packet_id = qos == Qos::kAtMostOnce ? PacketId{} : PacketId{9};
  from.send(publish);
  f.settle();
}

TEST_CASE("MQTT-3.8.3-3: with No Local a client does not get what it has published itself") {
  const std::size_t worker_count = GENERATE(1U, 2U);
  BrokerFixture f(worker_count);
  TestClient& client = f.connected("client");
  TestClient& other = f.connected("other", Version::kV5, worker_count - 1);
  mqtt::SubscriptionView entry;
  entry.filter = "a/+";
  entry.no_local = true;
  send_subscribe(client, entry);
  expect<mqtt::SubackView>(client);
  f.publish(client, "a/b", "own");
  CHECK(nothing(client));
  f.publish(other, "a/b", "others");
  CHECK(payloads(client) == std::vector<std::string>{"others"});
  // Another subscription that matches brings it all the same.
  f.subscribe(client, "a/b");
  f.publish(client, "a/b", "own");
  CHECK(payloads(client) == std::vector<std::string>{"own"});
}

TEST_CASE("MQTT-3.3.1-12, -13: the RETAIN flag is passed on only with Retain As Published") {
  const bool as_published = GENERATE(true, false);
  BrokerFixture f;
  TestClient& sub = f.connected("sub");
  TestClient& pub = f.connected("pub");
  mqtt::SubscriptionView entry;
  entry.filter = "a";
  entry.retain_as_published = as_published;
  send_subscribe(sub, entry);
  expect<mqtt::SubackView>(sub);
  f.publish(pub, "a", "x", Qos::kAtMostOnce, true);
  CHECK(expect<PublishView>(sub).retain == as_published);
  f.publish(pub, "a", "y", Qos::kAtMostOnce, false);
  CHECK_FALSE(expect<PublishView>(sub).retain);
}

TEST_CASE("MQTT-3.3.1-9, -10, -11: Retain Handling says when retained messages are sent") {
  BrokerFixture f;
  TestClient& pub = f.connected("pub");
  f.publish(pub, "a", "kept", Qos::kAtMostOnce, true);
  TestClient& sub = f.connected("sub");
  const auto sent = [&](mqtt::RetainHandling handling) {
    mqtt::SubscriptionView entry;
    entry.filter = "a";
    entry.retain_handling = handling;
    send_subscribe(sub, entry);
    expect<mqtt::SubackView>(sub);
    return payloads(sub).size();
  };
  CHECK(sent(mqtt::RetainHandling::kDoNotSend) == 0);
  CHECK(sent(mqtt::RetainHandling::kSendIfNew) == 0);
  CHECK(sent(mqtt::RetainHandling::kSend) == 1);
  CHECK(sent(mqtt::RetainHandling::kSend) == 1);
  TestClient& fresh = f.connected("fresh");
  mqtt::SubscriptionView entry;
  entry.filter = "a";
  entry.retain_handling = mqtt::RetainHandling::kSendIfNew;
  send_subscribe(fresh, entry);
  expect<mqtt::SubackView>(fresh);
  CHECK(payloads(fresh).size() == 1);
}

TEST_CASE(
    "MQTT-3.3.2-4, -15 to -20: what a publisher says of its message reaches v5 subscribers "
    "unchanged"
) {
  const std::size_t worker_count = GENERATE(1U, 2U);
  BrokerFixture f(worker_count);
  TestClient& sub = f.connected("sub", Version::kV5, worker_count - 1);
  TestClient& old = f.connected("old", Version::kV3, worker_count - 1);
  f.subscribe(sub, "a");
  f.subscribe(old, "a");
  TestClient& pub = f.connected("pub");
  std::string repeated;
  mqtt::append_user_property(repeated, "z", "1");
  mqtt::append_user_property(repeated, "a", "");
  mqtt::append_user_property(repeated, "z", "2");
  mqtt::PropertiesView properties;
  properties.set(Property::kPayloadFormatIndicator, 1)
      .set(Property::kContentType, "text/plain")
      .set(Property::kResponseTopic, "answers/1")
      .set(Property::kCorrelationData, std::string_view("\0\x01\xff", 3))
      .set_repeated(repeated);
  send_publish(f, pub, "a", "x", properties);
  CHECK(expect<PublishView>(sub).properties == properties);
  const auto plain = expect<PublishView>(old);
  CHECK(plain.payload == "x");
  CHECK(plain.properties.empty());
}

TEST_CASE("MQTT-3.1.2-26, -27: topic aliases are used towards a client as far as it allows") {
  BrokerFixture f;
  mqtt::PropertiesView properties;
  properties.set(Property::kTopicAliasMaximum, 1);
  TestClient& sub = connect_with(f, "sub", properties);
  expect<Connack>(sub);
  f.subscribe(sub, "t/#");
  TestClient& none = f.connected("none");
  f.subscribe(none, "t/#");
  TestClient& pub = f.connected("pub");
  f.publish(pub, "t/long/topic", "1");
  const auto first = expect<PublishView>(sub);
  CHECK(first.topic == "t/long/topic");
  CHECK(first.properties.number(Property::kTopicAlias) == 1U);
  f.publish(pub, "t/long/topic", "2");
  const auto second = expect<PublishView>(sub);
  CHECK(second.topic.empty());
  CHECK(second.properties.number(Property::kTopicAlias) == 1U);
  CHECK(second.payload == "2");
  f.publish(pub, "t/other", "3");
  const auto third = expect<PublishView>(sub);
  CHECK(third.topic == "t/other");
  CHECK_FALSE(third.properties.has(Property::kTopicAlias));
  const auto plain = expect<PublishView>(none);
  CHECK_FALSE(plain.properties.has(Property::kTopicAlias));
}

TEST_CASE("MQTT-3.1.2-24: no alias makes a packet larger than the client takes") {
  BrokerFixture f;
  TestClient& pub = f.connected("pub");
  std::size_t with_alias = 0;
  for (std::uint32_t maximum = 20; maximum < 40; ++maximum) {
    mqtt::PropertiesView properties;
    properties.set(Property::kTopicAliasMaximum, 4).set(Property::kMaximumPacketSize, maximum);
    TestClient& sub = connect_with(f, "sub", properties);
    sub.receive();
    f.subscribe(sub, "topic");
    f.publish(pub, "topic", "twelve bytes");
    const std::size_t bytes = 2 + 2 + 5 + 1 + 12;
    const mqtt::PacketView packet = sub.receive();
    CHECK(std::holds_alternative<PublishView>(packet) == (maximum >= bytes));
    if (const auto* got = std::get_if<PublishView>(&packet)) {
      with_alias += got->properties.has(Property::kTopicAlias) ? 1 : 0;
      CHECK(got->properties.has(Property::kTopicAlias) == (maximum >= bytes + 3));
    }
  }
  CHECK(with_alias == 40 - 25);
}

TEST_CASE("MQTT-3.1.2-28: Response Information goes to who asks, if there is any") {
  BrokerOptions options;
  options.response_prefix = GENERATE("", "answers");
  BrokerFixture f(1, options);
  mqtt::PropertiesView properties;
  const bool asked = GENERATE(true, false);
  properties.set(Property::kRequestResponseInformation, asked ? 1 : 0);
  TestClient& client = connect_with(f, "client", properties);
  const auto connack = expect<Connack>(client);
  if (asked && !options.response_prefix.empty()) {
    CHECK(connack.properties.text(Property::kResponseInformation) == "answers/client");
  } else {
    CHECK_FALSE(connack.properties.has(Property::kResponseInformation));
  }
}

TEST_CASE("MQTT-3.1.2-29: no reason strings for who does not want problem information") {
  BrokerFixture f;
  mqtt::PropertiesView properties;
  const bool wanted = GENERATE(true, false);
  properties.set(Property::kRequestProblemInformation, wanted ? 1 : 0);
  TestClient& client = connect_with(f, "client", properties);
  expect<Connack>(client);
  client.send_bytes("\xf0\x01\x19");  // AUTH
  CHECK(expect<Disconnect>(client).properties.has(Property::kReasonString) == wanted);
}

TEST_CASE("MQTT-3.1.2-21: a keep alive out of bounds is replaced, and the client is told") {
  BrokerFixture f(1, strict_options());
  const auto told = [&](std::uint16_t keep_alive_s) {
    TestClient& client = connect_with(f, "k" + std::to_string(keep_alive_s), {}, keep_alive_s);
    return expect<Connack>(client).properties.number(Property::kServerKeepAlive);
  };
  CHECK(told(0) == 1200U);
  CHECK(told(1) == 30U);
  CHECK(told(29) == 30U);
  CHECK_FALSE(told(30));
  CHECK_FALSE(told(1200));
  CHECK(told(1201) == 1200U);
}

TEST_CASE("as on AWS, 3.1.1 clients that may not connect may be closed without an answer") {
  BrokerOptions options;
  options.answer_refused = GENERATE(true, false);
  const Version version = GENERATE(Version::kV3, Version::kV5);
  BrokerFixture f(1, options);
  f.authorizer.denied = {{Action::kConnect, "stranger"}};
  TestClient& client = f.client(version);
  mqtt::ConnectView connect;
  connect.version = version;
  connect.client_id = "stranger";
  client.send(connect);
  CHECK(nothing(client) == (version == Version::kV3 && !options.answer_refused));
  CHECK(client.close_reason == CloseReason::kAuthError);
}

TEST_CASE("MQTT5 4.12: enhanced authentication is refused with 0x8C") {
  BrokerFixture f;
  mqtt::PropertiesView properties;
  properties.set(Property::kAuthenticationMethod, "SCRAM-SHA-1");
  TestClient& client = connect_with(f, "client", properties);
  CHECK(expect<Connack>(client).reason == mqtt::Reason::kBadAuthenticationMethod);
}

TEST_CASE("MQTT5 4.13: clients are sent to another server, for now or for good") {
  BrokerOptions options;
  options.server_reference = "other.example:8883";
  options.redirect = GENERATE(Redirect::kTemporary, Redirect::kPermanent);
  BrokerFixture f(1, options);
  TestClient& client = connect_with(f, "client", {});
  const auto connack = expect<Connack>(client);
  CHECK(
      connack.reason == (options.redirect == Redirect::kTemporary ? mqtt::Reason::kUseAnotherServer
                                                                  : mqtt::Reason::kServerMoved)
  );
  CHECK(connack.properties.text(Property::kServerReference) == "other.example:8883");
  TestClient& old = f.client(Version::kV3);
  mqtt::ConnectView connect;
  connect.version = Version::kV3;
  connect.client_id = "old";
  old.send(connect);
  CHECK(expect<Connack>(old).reason == mqtt::Reason::kServerUnavailable);
}

TEST_CASE("a server that stops names another one if it knows one") {
  BrokerOptions options;
  options.server_reference = GENERATE("", "other.example");
  BrokerFixture f(1, options);
  TestClient& client = f.connected("client");
  client.lose(CloseReason::kServerShutdown);
  const auto packet = expect<Disconnect>(client);
  if (options.server_reference.empty()) {
    CHECK(packet.reason == mqtt::Reason::kServerShuttingDown);
  } else {
    CHECK(packet.reason == mqtt::Reason::kUseAnotherServer);
    CHECK(packet.properties.text(Property::kServerReference) == "other.example");
  }
}

TEST_CASE("MQTT5 3.3.2.3.2: text that is not UTF-8 is refused where that is checked") {
  BrokerOptions options;
  options.validate_payload_format = true;
  BrokerFixture f(1, options);
  TestClient& pub = f.connected("pub");
  mqtt::PropertiesView text;
  text.set(Property::kPayloadFormatIndicator, 1);
  send_publish(f, pub, "a", "\xc3\xa4", text, Qos::kAtLeastOnce);
  CHECK(expect<Ack>(pub).reason == mqtt::Reason::kNoMatchingSubscribers);
  send_publish(f, pub, "a", "\xc3", text, Qos::kAtLeastOnce);
  CHECK(expect<Ack>(pub).reason == mqtt::Reason::kPayloadFormatInvalid);
  send_publish(f, pub, "a", "\xc3", {}, Qos::kAtLeastOnce);
  CHECK(expect<Ack>(pub).reason == mqtt::Reason::kNoMatchingSubscribers);
  TestClient& willing = f.client();
  mqtt::ConnectView connect;
  connect.client_id = "willing";
  connect.will.emplace();
  connect.will->topic = "a";
  connect.will->payload = "\xff";
  connect.will->properties = text;
  willing.send(connect);
  CHECK(expect<Connack>(willing).reason == mqtt::Reason::kPayloadFormatInvalid);
}

TEST_CASE(
    "MQTT-3.2.2-15, 3.8.2.1.2: subscription identifiers are refused where they are not available"
) {
  BrokerFixture f(1, strict_options());
  TestClient& client = connect_with(f, "client", {});
  CHECK(
      expect<Connack>(client).properties.number(Property::kSubscriptionIdentifierAvailable) == 0U
  );
  mqtt::SubscriptionView entry;
  entry.filter = "a";
  send_subscribe(client, entry, 7);
  CHECK(expect<Disconnect>(client).reason == mqtt::Reason::kSubscriptionIdsNotSupported);
}

}  // namespace
}  // namespace iotcore::broker::test
