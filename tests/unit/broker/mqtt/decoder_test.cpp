#include "broker/mqtt/decoder.h"

#include "tests/unit/broker/mqtt/bytes_of.h"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

namespace iotcore::broker::mqtt {
namespace {

constexpr DecodeContext kNew{};
constexpr DecodeContext kV3{.version = Version::kV3};
constexpr DecodeContext kV5{.version = Version::kV5};
constexpr DecodeContext kV3Server{.version = Version::kV3, .sender = Sender::kServer};
constexpr DecodeContext kV5Server{.version = Version::kV5, .sender = Sender::kServer};

// Decodes bytes that live as long as the test.
template <typename Packet>
Packet decode_as(const std::string& bytes, const DecodeContext& context) {
  const Decoded decoded = decode(bytes, context);
  CAPTURE(decoded.fault.why == nullptr ? "" : decoded.fault.why);
  REQUIRE(decoded.state == FrameView::State::kReady);
  CHECK(decoded.size_bytes == bytes.size());
  REQUIRE(std::holds_alternative<Packet>(decoded.packet));
  return std::get<Packet>(decoded.packet);
}

TEST_CASE("CONNECT of 3.1.1 with everything in it") {
  const std::string bytes =
      packet_of(0x10, "0004'MQTT'04 F6 003c 0003'cid' 0003'w/t' 0003'bye' 0004'user' 0003 00ff01");
  const auto connect = decode_as<ConnectView>(bytes, kNew);
  CHECK(connect.version == Version::kV3);
  CHECK(connect.clean_start);
  CHECK(connect.keep_alive_s == 60);
  CHECK(connect.client_id == "cid");
  REQUIRE(connect.will);
  CHECK(connect.will->topic == "w/t");
  CHECK(connect.will->payload == "bye");
  CHECK(connect.will->qos == Qos::kExactlyOnce);
  CHECK(connect.will->retain);
  CHECK(connect.user_name == "user");
  CHECK(connect.password == std::string_view("\0\xff\1", 3));
}

TEST_CASE("CONNECT of 5 with will properties") {
  const std::string bytes = packet_of(
      0x10,
      "0004'MQTT'05 0C 0000"
      " 13 1100000e10 21000a 27 00010000 260001'k'0000"
      " 0000"
      " 11 1800000005 0101 030002'tx' 02000000ff"
      " 0001't' 0000"
  );
  const auto connect = decode_as<ConnectView>(bytes, kNew);
  CHECK(connect.version == Version::kV5);
  CHECK_FALSE(connect.clean_start);
  CHECK(connect.client_id.empty());
  CHECK(connect.properties.number(Property::kSessionExpiryInterval) == 3600U);
  CHECK(connect.properties.number_or(Property::kReceiveMaximum, 65535) == 10);
  CHECK(connect.properties.number(Property::kMaximumPacketSize) == 65536U);
  CHECK(connect.properties.number_or(Property::kTopicAliasMaximum, 0) == 0);
  REQUIRE(connect.will);
  CHECK(connect.will->qos == Qos::kAtLeastOnce);
  CHECK(connect.will->properties.number(Property::kWillDelayInterval) == 5U);
  CHECK(connect.will->properties.number(Property::kPayloadFormatIndicator) == 1U);
  CHECK(connect.will->properties.text(Property::kContentType) == "tx");
  CHECK(connect.will->properties.number(Property::kMessageExpiryInterval) == 255U);
}

TEST_CASE("CONNECT: v5 takes a password without a user name, v3 an empty client id") {
  const auto five =
      decode_as<ConnectView>(packet_of(0x10, "0004'MQTT'05 42 0000 00 0000 0001'p'"), kNew);
  CHECK_FALSE(five.user_name);
  CHECK(five.password);
  const auto three = decode_as<ConnectView>(packet_of(0x10, "0004'MQTT'04 02 0000 0000"), kNew);
  CHECK(three.clean_start);
  CHECK(three.client_id.empty());
}

TEST_CASE("PUBLISH") {
  const std::string zero = packet_of(0x31, "0005'a/b/c' 'payload'");
  const auto v3 = decode_as<PublishView>(zero, kV3);
  CHECK(v3.topic == "a/b/c");
  CHECK(v3.payload == "payload");
  CHECK(v3.qos == Qos::kAtMostOnce);
  CHECK(v3.retain);
  CHECK_FALSE(v3.dup);

  const std::string two = packet_of(0x3C, "0001'a' 1234");
  const auto v3_two = decode_as<PublishView>(two, kV3);
  CHECK(v3_two.qos == Qos::kExactlyOnce);
  CHECK(v3_two.dup);
  CHECK(v3_two.packet_id == static_cast<PacketId>(0x1234));
  CHECK(v3_two.payload.empty());

  const std::string plain = packet_of(0x30, "0001'a' 00 'x'");
  const auto v5 = decode_as<PublishView>(plain, kV5);
  CHECK(v5.properties.empty());
  CHECK(v5.payload == "x");

  const std::string alias = packet_of(0x32, "0000 0007 03 230005 'x'");
  const auto aliased = decode_as<PublishView>(alias, kV5);
  CHECK(aliased.topic.empty());
  CHECK(aliased.properties.number(Property::kTopicAlias) == 5U);
  CHECK(aliased.payload == "x");
}

TEST_CASE("PUBLISH topics are UTF-8 of any kind but U+0000") {
  for (const char* topic :
       {"'caf'c3a9",
        "e282ac",
        "f09f9880'/temperature'",
        "'abcdefg'c3a9",
        "'abcdefgh'c3a9'ijklmn'",
        "efbbbf'bom'",
        "'tab'09",
        "efbfbf",
        "'/'",
        "20",
        "'0123456789abcdef'"}) {
    CAPTURE(topic);
    const std::string text = bytes_of(topic);
    const std::string bytes = std::string("\x30") + static_cast<char>(text.size() + 2) +
                              std::string(1, '\0') + static_cast<char>(text.size()) + text;
    CHECK(decode_as<PublishView>(bytes, kV3).topic == text);
  }
}

TEST_CASE("PUBLISH keeps user properties and subscription identifiers in order") {
  const std::string bytes = packet_of(
      0x30,
      "0001'a' 21 260001'k'0001'1' 0b05 0101 260001'k'0001'2' 0b8001 0200000009 260001'j'0001'3'"
  );
  const auto publish = decode_as<PublishView>(bytes, kV5Server);
  std::string pairs;
  publish.properties.for_each_user_property([&](const UserPropertyView& pair) {
    pairs.append(pair.name).append("=").append(pair.value).append(" ");
  });
  CHECK(pairs == "k=1 k=2 j=3 ");
  std::vector<std::uint32_t> ids;
  publish.properties.for_each_subscription_id([&](std::uint32_t id) { ids.push_back(id); });
  CHECK(ids == std::vector<std::uint32_t>{5, 128});
  CHECK(publish.properties.number(Property::kSubscriptionIdentifier) == 5U);

  std::string forwarded;
  append_forwarded_properties(forwarded, publish.properties);
  CHECK(forwarded == bytes_of("0101 260001'k'0001'1' 260001'k'0001'2' 260001'j'0001'3'"));
}

TEST_CASE("acknowledgements") {
  for (const unsigned first_byte : {0x40U, 0x50U, 0x62U, 0x70U}) {
    const auto type = static_cast<PacketType>(first_byte >> 4U);
    const auto v3 = decode_as<Ack>(packet_of(first_byte, "0102"), kV3);
    CHECK(v3.type == type);
    CHECK(v3.packet_id == static_cast<PacketId>(0x0102));
    CHECK(decode_as<Ack>(packet_of(first_byte, "0102"), kV5).reason == Reason::kSuccess);
    CHECK(decode_as<Ack>(packet_of(first_byte, "010200"), kV5).reason == Reason::kSuccess);
    const std::string full = packet_of(first_byte, "010200 05 1f0002'no'");
    CHECK(decode_as<Ack>(full, kV5).properties.text(Property::kReasonString) == "no");
  }
  CHECK(
      decode_as<Ack>(packet_of(0x40, "000110"), kV5Server).reason == Reason::kNoMatchingSubscribers
  );
  CHECK(decode_as<Ack>(packet_of(0x62, "000192"), kV5).reason == Reason::kPacketIdNotFound);
}

TEST_CASE("SUBSCRIBE and UNSUBSCRIBE") {
  const std::string v3 = packet_of(0x82, "000a 0001'a' 01 0005'b/+/#' 02 0000 00");
  const auto subscribe = decode_as<SubscribeView>(v3, kV3);
  CHECK(subscribe.packet_id == static_cast<PacketId>(10));
  REQUIRE(subscribe.entries.count() == 3);
  std::vector<SubscriptionView> entries(subscribe.entries.begin(), subscribe.entries.end());
  CHECK(entries[0] == SubscriptionView{.filter = "a", .qos = Qos::kAtLeastOnce});
  CHECK(entries[1] == SubscriptionView{.filter = "b/+/#", .qos = Qos::kExactlyOnce});
  CHECK(entries[2].filter.empty());

  const std::string v5 = packet_of(0x82, "000a 03 0bff7f 0001'a' 2d");
  const auto five = decode_as<SubscribeView>(v5, kV5);
  CHECK(five.properties.number(Property::kSubscriptionIdentifier) == 16383U);
  const SubscriptionView entry = *five.entries.begin();
  CHECK(entry.qos == Qos::kAtLeastOnce);
  CHECK(entry.no_local);
  CHECK(entry.retain_as_published);
  CHECK(entry.retain_handling == RetainHandling::kDoNotSend);

  const std::string un = packet_of(0xA2, "000b 00 0001'a' 0001'b'");
  const auto unsubscribe = decode_as<UnsubscribeView>(un, kV5);
  CHECK(
      std::vector<std::string_view>(unsubscribe.filters.begin(), unsubscribe.filters.end()) ==
      std::vector<std::string_view>{"a", "b"}
  );
}

TEST_CASE("answers of the server") {
  const auto v3 = decode_as<Connack>(packet_of(0x20, "0100"), kV3Server);
  CHECK(v3.session_present);
  CHECK(decode_as<Connack>(packet_of(0x20, "0005"), kV3Server).reason == Reason::kNotAuthorized);
  const std::string v5 = packet_of(0x20, "0000 09 120001'x' 130010 2400");
  const auto connack = decode_as<Connack>(v5, kV5Server);
  CHECK(connack.properties.text(Property::kAssignedClientIdentifier) == "x");
  CHECK(connack.properties.number(Property::kServerKeepAlive) == 16U);
  CHECK(connack.properties.number(Property::kMaximumQos) == 0U);

  const std::string suback_bytes = packet_of(0x90, "0003 000180");
  const auto suback = decode_as<SubackView>(suback_bytes, kV3Server);
  CHECK(suback.count() == 3);
  CHECK(suback.reason(1) == Reason::kGrantedQos1);
  CHECK(suback.reason(2) == Reason::kUnspecifiedError);
  const std::string suback5 = packet_of(0x90, "0003 00 8fa2");
  CHECK(decode_as<SubackView>(suback5, kV5Server).reason(0) == Reason::kTopicFilterInvalid);
  CHECK(decode_as<UnsubackView>(packet_of(0xB0, "0003"), kV3Server).count() == 0);
  const std::string unsuback5 = packet_of(0xB0, "0003 00 1100");
  CHECK(decode_as<UnsubackView>(unsuback5, kV5Server).reason(0) == Reason::kNoSubscriptionExisted);
  decode_as<Pingreq>(packet_of(0xC0, ""), kV3);
  decode_as<Pingresp>(packet_of(0xD0, ""), kV5Server);
}

TEST_CASE("DISCONNECT and AUTH") {
  decode_as<Disconnect>(packet_of(0xE0, ""), kV3);
  CHECK(decode_as<Disconnect>(packet_of(0xE0, ""), kV5).reason == Reason::kSuccess);
  CHECK(decode_as<Disconnect>(packet_of(0xE0, "04"), kV5).reason == Reason::kDisconnectWithWill);
  const auto disconnect = decode_as<Disconnect>(packet_of(0xE0, "00 05 1100000000"), kV5);
  CHECK(disconnect.properties.number(Property::kSessionExpiryInterval) == 0U);
  const std::string moved = packet_of(0xE0, "9d 04 1c0001'b'");
  CHECK(decode_as<Disconnect>(moved, kV5Server).properties.text(Property::kServerReference) == "b");
  const std::string auth = packet_of(0xF0, "18 09 150001'm' 16000201ff");
  CHECK(decode_as<Auth>(auth, kV5).properties.text(Property::kAuthenticationData)->size() == 2);
  CHECK(decode_as<Auth>(packet_of(0xF0, ""), kV5Server).reason == Reason::kSuccess);
}

TEST_CASE("packets are cut out one after the other") {
  const std::string bytes =
      packet_of(0x30, "0001'a' 'x'") + packet_of(0xC0, "") + std::string("\x30");
  std::string_view rest = bytes;
  const Decoded first = decode(rest, kV3);
  REQUIRE(first.state == FrameView::State::kReady);
  CHECK(std::get<PublishView>(first.packet).payload == "x");
  rest.remove_prefix(first.size_bytes);
  const Decoded second = decode(rest, kV3);
  REQUIRE(std::holds_alternative<Pingreq>(second.packet));
  rest.remove_prefix(second.size_bytes);
  CHECK(decode(rest, kV3).state == FrameView::State::kNeedMore);
  CHECK(decode({}, kV3).state == FrameView::State::kNeedMore);
}

// Every property against every place: what MQTT5 table 2-4 says, written down a second time.
TEST_CASE("MQTT5 2.2.2.2: which property goes where") {
  struct Row {
    unsigned id;
    const char* value;
    const char* places;  // packet types by their hex digit, W for the will
  };

  const Row rows[] = {
      {0x01, "01", "3W"},
      {0x02, "00000001", "3W"},
      {0x03, "0001'a'", "3W"},
      {0x08, "0001'a'", "3W"},
      {0x09, "0001'a'", "3W"},
      {0x0B, "01", "38"},
      {0x11, "00000001", "12E"},
      {0x12, "0001'a'", "2"},
      {0x13, "0001", "2"},
      {0x15, "0001'a'", "12F"},
      {0x16, "0001'a'", "12F"},
      {0x17, "01", "1"},
      {0x18, "00000001", "W"},
      {0x19, "01", "1"},
      {0x1A, "0001'a'", "2"},
      {0x1C, "0001'a'", "2E"},
      {0x1F, "0001'a'", "24567 9BEF"},
      {0x21, "0001", "12"},
      {0x22, "0001", "12"},
      {0x23, "0001", "3"},
      {0x24, "01", "2"},
      {0x25, "01", "2"},
      {0x26, "0001'a'0001'b'", "123456789ABEFW"},
      {0x27, "00000001", "12"},
      {0x28, "01", "2"},
      {0x29, "01", "2"},
      {0x2A, "01", "2"},
  };
  for (unsigned id = 0; id < 256; ++id) {
    const Row* row = nullptr;
    for (const Row& candidate : rows) {
      row = candidate.id == id ? &candidate : row;
    }
    const std::string property =
        std::string(1, static_cast<char>(id)) + bytes_of(row == nullptr ? "01" : row->value);
    const std::string block = std::string(1, static_cast<char>(property.size())) + property;
    for (const char place : std::string_view("W123456789ABEF")) {
      const auto scope = place == 'W'
                             ? PropertyScope::kWill
                             : static_cast<PropertyScope>(bytes_of(std::string("0") + place)[0]);
      const bool allowed =
          row != nullptr && std::string_view(row->places).find(place) != std::string_view::npos;
      // Either side may be the one that must not send it.
      bool accepted = false;
      for (const Sender sender : {Sender::kClient, Sender::kServer}) {
        ByteReader reader(block);
        PropertiesView properties;
        const Fault fault = decode_properties(reader, scope, sender, properties);
        accepted = accepted || !fault;
        if (!fault) {
          CHECK(properties.has(static_cast<Property>(id)));
          CHECK(properties.present() == std::uint64_t{1} << id);
        }
      }
      CAPTURE(id, place);
      CHECK(accepted == allowed);
    }
  }
}

TEST_CASE("reason codes and their 3.1.1 return codes") {
  CHECK(reason_name(Reason::kQuotaExceeded) == "quota_exceeded");
  CHECK(reason_name(static_cast<Reason>(0x7F)) == "unknown");
  CHECK(reason_of(Errc::kTopicAliasInvalid) == Reason::kTopicAliasInvalid);
  for (std::uint8_t code = 0; code <= 5; ++code) {
    const auto reason = reason_of_v3_connack(code);
    REQUIRE(reason);
    CHECK(v3_connack_code(*reason) == code);
  }
  CHECK_FALSE(reason_of_v3_connack(6));
  CHECK(v3_connack_code(Reason::kServerBusy) == 3);
  CHECK_FALSE(v3_connack_code(Reason::kProtocolError));
}

}  // namespace
}  // namespace iotcore::broker::mqtt
