#include "broker/mqtt/decoder.h"
#include "tests/unit/broker/mqtt/bytes_of.h"

#include <catch2/catch.hpp>

#include <optional>
#include <string>
#include <vector>

// What must be refused, and with which code. Rows are named by the clause that they break.
namespace iotcore::broker::mqtt {
namespace {

constexpr Version k3 = Version::kV3;
constexpr Version k5 = Version::kV5;
constexpr Version kNone = Version::kNone;
constexpr Errc kMalformed = Errc::kMalformedPacket;
constexpr Errc kProtocol = Errc::kProtocolError;

struct Row {
  const char* clause;
  Version version;
  unsigned first_byte;
  const char* body;
  Errc code;
};

void check_rows(Sender sender, const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    CAPTURE(row.clause, static_cast<int>(row.version), row.body);
    const Decoded decoded =
        decode(packet_of(row.first_byte, row.body), {.version = row.version, .sender = sender});
    REQUIRE(decoded.state == FrameView::State::kFault);
    CAPTURE(decoded.fault.why);
    CHECK(errc_info(decoded.fault.code).name == errc_info(row.code).name);
  }
}

TEST_CASE("malformed fixed headers") {
  check_rows(
      Sender::kClient,
      {
          {"MQTT5 2.1.2: type 0 is reserved", k5, 0x00, "", kMalformed},
          {"MQTT3 2.2.1: type 0 is reserved", k3, 0x00, "", kMalformed},
          {"MQTT3 2.2.1: type 15 is reserved", k3, 0xF0, "", kMalformed},
          {"MQTT-2.1.3-1 CONNECT", kNone, 0x11, "0004'MQTT'0402000a0001'a'", kMalformed},
          {"MQTT-2.1.3-1 PUBACK", k5, 0x41, "0001", kMalformed},
          {"MQTT-2.1.3-1 PUBREC", k3, 0x52, "0001", kMalformed},
          {"MQTT-3.6.1-1 PUBREL", k3, 0x60, "0001", kMalformed},
          {"MQTT-3.6.1-1 PUBREL", k5, 0x63, "0001", kMalformed},
          {"MQTT-2.1.3-1 PUBCOMP", k5, 0x72, "0001", kMalformed},
          {"MQTT-3.8.1-1 SUBSCRIBE", k3, 0x80, "00010001'a'00", kMalformed},
          {"MQTT-3.8.1-1 SUBSCRIBE", k5, 0x8A, "0001000001'a'00", kMalformed},
          {"MQTT-3.10.1-1 UNSUBSCRIBE", k3, 0xA0, "00010001'a'", kMalformed},
          {"MQTT-3.10.1-1 UNSUBSCRIBE", k5, 0xA3, "0001000001'a'", kMalformed},
          {"MQTT-2.1.3-1 PINGREQ", k5, 0xC1, "", kMalformed},
          {"MQTT-3.14.1-1 DISCONNECT", k5, 0xE8, "", kMalformed},
          {"MQTT-3.15.1-1 AUTH", k5, 0xF1, "", kMalformed},
          {"MQTT-3.1.0-1 first packet PUBLISH", kNone, 0x30, "0001'a'", kProtocol},
          {"MQTT-3.1.0-1 first packet PINGREQ", kNone, 0xC0, "", kProtocol},
          {"CONNACK from a client", k5, 0x20, "000000", kProtocol},
          {"SUBACK from a client", k3, 0x90, "000100", kProtocol},
          {"UNSUBACK from a client", k3, 0xB0, "0001", kProtocol},
          {"PINGRESP from a client", k3, 0xD0, "", kProtocol},
          {"PINGREQ has no body", k3, 0xC0, "00", kMalformed},
      }
  );
  check_rows(
      Sender::kServer,
      {
          {"CONNECT from a server", k5, 0x10, "0004'MQTT'0402000a0001'a'", kProtocol},
          {"SUBSCRIBE from a server", k5, 0x82, "0001000001'a'00", kProtocol},
          {"PINGREQ from a server", k3, 0xC0, "", kProtocol},
          {"MQTT3 3.14 DISCONNECT from a server", k3, 0xE0, "", kProtocol},
          {"PINGRESP has no body", k5, 0xD0, "00", kMalformed},
      }
  );
}

TEST_CASE("MQTT-1.5.5-1: remaining lengths") {
  const auto state_of = [](std::string_view spelled) {
    return decode(bytes_of(spelled), {.version = k3}).state;
  };
  CHECK(state_of("30") == FrameView::State::kNeedMore);
  CHECK(state_of("30 80") == FrameView::State::kNeedMore);
  CHECK(state_of("30 80 80 80") == FrameView::State::kNeedMore);
  CHECK(state_of("30 80 80 80 80") == FrameView::State::kFault);
  CHECK(state_of("30 FF FF FF FF 01") == FrameView::State::kFault);
  CHECK(state_of("30 FF FF FF 7F") == FrameView::State::kNeedMore);
  for (const char* overlong : {"30 80 00", "30 85 00", "30 80 80 00", "30 81 80 80 00"}) {
    CAPTURE(overlong);
    CHECK(state_of(overlong) == FrameView::State::kFault);
  }
}

TEST_CASE("a packet above the maximum is refused as soon as its length is known") {
  const DecodeContext context{.version = k5, .packet_bytes_max = 300};
  CHECK(decode(bytes_of("30 A9 02"), context).state == FrameView::State::kNeedMore);
  CHECK(decode(bytes_of("30 A9 02"), context).size_bytes == 300);
  const Decoded larger = decode(bytes_of("30 AA 02"), context);
  CHECK(larger.state == FrameView::State::kFault);
  CHECK(larger.fault.code == Errc::kPacketTooLarge);
  const Decoded much_larger = decode(bytes_of("30 FF FF FF 7F"), context);
  CHECK(much_larger.fault.code == Errc::kPacketTooLarge);
}

TEST_CASE("malformed CONNECT") {
  check_rows(
      Sender::kClient,
      {
          {"MQTT-3.1.2-1 name",
           kNone,
           0x10,
           "0004'MQTX'0402000a0001'a'",
           Errc::kUnsupportedProtocolVersion},
          {"MQTT-3.1.2-1 MQTT 3.1",
           kNone,
           0x10,
           "0006'MQIsdp'0302000a0001'a'",
           Errc::kUnsupportedProtocolVersion},
          {"MQTT-3.1.2-2 level 3",
           kNone,
           0x10,
           "0004'MQTT'0302000a0001'a'",
           Errc::kUnsupportedProtocolVersion},
          {"MQTT-3.1.2-2 level 6",
           kNone,
           0x10,
           "0004'MQTT'0602000a000001'a'",
           Errc::kUnsupportedProtocolVersion},
          {"MQTT-3.1.2-2 bridge bit",
           kNone,
           0x10,
           "0004'MQTT'8402000a0001'a'",
           Errc::kUnsupportedProtocolVersion},
          {"empty", kNone, 0x10, "", kMalformed},
          {"ends in the name", kNone, 0x10, "0004'MQ'", kMalformed},
          {"ends before the flags", kNone, 0x10, "0004'MQTT'04", kMalformed},
          {"ends in keep alive", kNone, 0x10, "0004'MQTT'040200", kMalformed},
          {"ends before the client id", kNone, 0x10, "0004'MQTT'0402000a", kMalformed},
          {"ends in the client id", kNone, 0x10, "0004'MQTT'0402000a0002'a'", kMalformed},
          {"MQTT-3.1.2-3 reserved flag", kNone, 0x10, "0004'MQTT'0403000a0001'a'", kMalformed},
          {"MQTT-3.1.2-3 reserved flag", kNone, 0x10, "0004'MQTT'0503000a000001'a'", kMalformed},
          {"MQTT-3.1.2-11 will QoS, no will", kNone, 0x10, "0004'MQTT'040A000a0001'a'", kMalformed},
          {"MQTT-3.1.2-13 will retain, no will",
           kNone,
           0x10,
           "0004'MQTT'0522000a000001'a'",
           kMalformed},
          {"MQTT-3.1.2-12 will QoS 3",
           kNone,
           0x10,
           "0004'MQTT'051E000a00 0001'a' 00 0001't' 0001'p'",
           kMalformed},
          {"MQTT3-3.1.2-14 will QoS 3",
           kNone,
           0x10,
           "0004'MQTT'041E000a 0001'a' 0001't' 0001'p'",
           kMalformed},
          {"MQTT3-3.1.2-22 password, no user",
           kNone,
           0x10,
           "0004'MQTT'0442000a0001'a'0001'p'",
           kMalformed},
          {"MQTT-3.1.3-4 client id UTF-8", kNone, 0x10, "0004'MQTT'0402000a0001ff", kMalformed},
          {"MQTT-1.5.4-2 client id U+0000", kNone, 0x10, "0004'MQTT'0402000a000100", kMalformed},
          {"MQTT-1.5.4-1 surrogate", kNone, 0x10, "0004'MQTT'0402000a0003eda080", kMalformed},
          {"MQTT-3.1.3-12 user name UTF-8",
           kNone,
           0x10,
           "0004'MQTT'0482000a0001'a'0001c0",
           kMalformed},
          {"user name missing", kNone, 0x10, "0004'MQTT'0482000a0001'a'", kMalformed},
          {"password missing", kNone, 0x10, "0004'MQTT'04C2000a0001'a'0001'u'", kMalformed},
          {"password cut", kNone, 0x10, "0004'MQTT'04C2000a0001'a'0001'u'0002'p'", kMalformed},
          {"trailing bytes", kNone, 0x10, "0004'MQTT'0402000a0001'a'00", kMalformed},
          {"trailing bytes", kNone, 0x10, "0004'MQTT'0502000a000001'a'00", kMalformed},
          {"will missing", kNone, 0x10, "0004'MQTT'0406000a0001'a'", kMalformed},
          {"will payload cut", kNone, 0x10, "0004'MQTT'0406000a0001'a'0001't'0002'p'", kMalformed},
          {"MQTT-3.1.3-11 will topic UTF-8",
           kNone,
           0x10,
           "0004'MQTT'0406000a0001'a'0001fe0001'p'",
           kMalformed},
          {"will topic wildcard",
           kNone,
           0x10,
           "0004'MQTT'0406000a0001'a'0001'+'0001'p'",
           Errc::kTopicNameInvalid},
          {"will topic wildcard",
           kNone,
           0x10,
           "0004'MQTT'0506000a00 0001'a' 00 0003'a/#' 0001'p'",
           Errc::kTopicNameInvalid},
          {"MQTT-4.7.3-1 will topic empty",
           kNone,
           0x10,
           "0004'MQTT'0406000a0001'a'0000 0001'p'",
           Errc::kTopicNameInvalid},
          {"properties missing", kNone, 0x10, "0004'MQTT'0502000a", kMalformed},
          {"property length beyond", kNone, 0x10, "0004'MQTT'0502000a 09 0001'a'", kMalformed},
          {"receive maximum 0", kNone, 0x10, "0004'MQTT'0502000a 03 210000 0001'a'", kProtocol},
          {"maximum packet size 0",
           kNone,
           0x10,
           "0004'MQTT'0502000a 05 2700000000 0001'a'",
           kProtocol},
          {"request problem information 2",
           kNone,
           0x10,
           "0004'MQTT'0502000a 02 1702 0001'a'",
           kProtocol},
          {"request response information 2",
           kNone,
           0x10,
           "0004'MQTT'0502000a 02 1902 0001'a'",
           kProtocol},
          {"session expiry twice",
           kNone,
           0x10,
           "0004'MQTT'0502000a 0a 1100000001 1100000001 0001'a'",
           kProtocol},
          {"authentication data alone",
           kNone,
           0x10,
           "0004'MQTT'0502000a 04 16000101 0001'a'",
           kProtocol},
          {"will delay among CONNECT's own",
           kNone,
           0x10,
           "0004'MQTT'0502000a 05 1800000001 0001'a'",
           kMalformed},
          {"session expiry in the will",
           kNone,
           0x10,
           "0004'MQTT'0506000a 00 0001'a' 05 1100000001 0001't' 0000",
           kMalformed},
          {"will PFI 2",
           kNone,
           0x10,
           "0004'MQTT'0506000a 00 0001'a' 02 0102 0001't' 0000",
           kProtocol},
          {"will properties missing", kNone, 0x10, "0004'MQTT'0506000a 00 0001'a'", kMalformed},
      }
  );
}

TEST_CASE("a refused CONNECT says in which version to answer") {
  const auto version_for = [](std::string_view body) {
    const std::string bytes = packet_of(0x10, body);
    ConnectView connect;
    REQUIRE(decode_connect(next_frame(bytes, {}), {}, connect));
    return connect.version;
  };
  CHECK(version_for("0004'MQTT'0302000a0001'a'") == k3);
  CHECK(version_for("0004'MQTT'0602000a000001'a'") == k5);
  CHECK(version_for("0004'MQTT'0503000a000001'a'") == k5);
  CHECK(version_for("0006'MQIsdp'0302000a0001'a'") == k3);
}

TEST_CASE("malformed PUBLISH") {
  check_rows(
      Sender::kClient,
      {
          {"MQTT-3.3.1-4 QoS 3", k3, 0x36, "0001'a'0001", kMalformed},
          {"MQTT-3.3.1-4 QoS 3", k5, 0x3E, "0001'a'000100", kMalformed},
          {"MQTT-3.3.1-2 DUP at QoS 0", k3, 0x38, "0001'a'", kMalformed},
          {"MQTT-3.3.1-2 DUP at QoS 0", k5, 0x39, "0001'a'00", kMalformed},
          {"empty", k3, 0x30, "", kMalformed},
          {"one byte", k3, 0x30, "00", kMalformed},
          {"topic beyond the packet", k3, 0x30, "0002'a'", kMalformed},
          {"no packet id", k3, 0x32, "0001'a'", kMalformed},
          {"half a packet id", k3, 0x32, "0001'a'00", kMalformed},
          {"MQTT-2.2.1-3 packet id 0", k3, 0x32, "0001'a'0000", kProtocol},
          {"MQTT-2.2.1-3 packet id 0", k5, 0x34, "0001'a'000000", kProtocol},
          {"MQTT-4.7.3-1 empty topic", k3, 0x30, "0000", Errc::kTopicNameInvalid},
          {"MQTT5 3.3.2.1 empty topic, no alias", k5, 0x30, "0000 00", kProtocol},
          {"MQTT-3.3.2-2 +", k3, 0x30, "0003'a/+'", Errc::kTopicNameInvalid},
          {"MQTT-3.3.2-2 #", k5, 0x30, "0001'#'00", Errc::kTopicNameInvalid},
          {"MQTT-3.3.2-2 inside a level", k3, 0x30, "000c'abcdefgh/i+j'", Errc::kTopicNameInvalid},
          {"MQTT-3.3.2-2 in the first word",
           k3,
           0x30,
           "000c'abc#efgh/ijk'",
           Errc::kTopicNameInvalid},
          {"MQTT-3.3.2-1 UTF-8", k3, 0x30, "0002c328", kMalformed},
          {"MQTT-3.3.2-1 overlong", k3, 0x30, "0002c0af", kMalformed},
          {"MQTT-1.5.4-1 surrogate", k5, 0x30, "0003edbfbf00", kMalformed},
          {"MQTT-1.5.4-1 above U+10FFFF", k3, 0x30, "0004f4908080", kMalformed},
          {"MQTT-1.5.4-2 U+0000", k3, 0x30, "000a'abcdefgh'00'i'", kMalformed},
          {"MQTT-1.5.4-2 U+0000 in the first word", k3, 0x30, "000a'abc'00'defghi'", kMalformed},
          {"MQTT-1.5.4-2 U+0000 last", k3, 0x30, "000200'a'", kMalformed},
          {"no properties", k5, 0x30, "0001'a'", kMalformed},
          {"property length cut", k5, 0x30, "0001'a'80", kMalformed},
          {"property length overlong", k5, 0x30, "0001'a'8000", kMalformed},
          {"properties beyond the packet", k5, 0x30, "0001'a'05 0101", kMalformed},
          {"unknown property", k5, 0x30, "0001'a'02 0501", kMalformed},
          {"property id 0", k5, 0x30, "0001'a'02 0001", kMalformed},
          {"property id above 0x2A", k5, 0x30, "0001'a'02 2B01", kMalformed},
          {"property of CONNECT", k5, 0x30, "0001'a'05 1100000001", kMalformed},
          {"PFI twice", k5, 0x30, "0001'a'04 01010101", kProtocol},
          {"PFI 2", k5, 0x30, "0001'a'02 0102", kProtocol},
          {"PFI cut by the block", k5, 0x30, "0001'a'01 01 01", kMalformed},
          {"expiry twice", k5, 0x30, "0001'a'0a 02000000010200000001", kProtocol},
          {"expiry cut", k5, 0x30, "0001'a'04 02000000 01", kMalformed},
          {"MQTT-3.3.2-8 alias 0", k5, 0x30, "0001'a'03 230000", Errc::kTopicAliasInvalid},
          {"alias twice", k5, 0x30, "0001'a'06 230001230001", kProtocol},
          {"MQTT-3.3.2-13 response topic UTF-8", k5, 0x30, "0001'a'04 080001ff", kMalformed},
          {"MQTT-3.3.2-14 response topic wildcard", k5, 0x30, "0001'a'06 080003'a/+'", kProtocol},
          {"response topic empty", k5, 0x30, "0001'a'03 080000", kProtocol},
          {"response topic twice", k5, 0x30, "0001'a'08 080001'a'080001'a'", kProtocol},
          {"correlation data twice", k5, 0x30, "0001'a'06 090000090000", kProtocol},
          {"MQTT-3.3.2-19 content type UTF-8", k5, 0x30, "0001'a'04 030001 80", kMalformed},
          {"content type cut", k5, 0x30, "0001'a'04 030002'a'", kMalformed},
          {"MQTT-3.3.4-6 subscription id of a client", k5, 0x30, "0001'a'02 0b01", kProtocol},
          {"user property half", k5, 0x30, "0001'a'04 260001'k'", kMalformed},
          {"user property UTF-8", k5, 0x30, "0001'a'07 260001'k'0001ff", kMalformed},
          {"user property U+0000", k5, 0x30, "0001'a'07 2600010000 01'v'", kMalformed},
      }
  );
  check_rows(
      Sender::kServer,
      {
          {"subscription id 0", k5, 0x30, "0001'a'02 0b00", kProtocol},
          {"subscription id of five bytes", k5, 0x30, "0001'a'06 0b8080808001", kMalformed},
          {"subscription id overlong", k5, 0x30, "0001'a'03 0b8100", kMalformed},
      }
  );
}

TEST_CASE("malformed PUBACK, PUBREC, PUBREL, PUBCOMP") {
  for (const unsigned first_byte : {0x40U, 0x50U, 0x62U, 0x70U}) {
    check_rows(
        Sender::kClient,
        {
            {"empty", k3, first_byte, "", kMalformed},
            {"half an id", k5, first_byte, "00", kMalformed},
            {"id 0", k3, first_byte, "0000", kProtocol},
            {"id 0", k5, first_byte, "0000", kProtocol},
            {"trailing bytes", k3, first_byte, "000100", kMalformed},
            {"undefined reason", k5, first_byte, "000103", kProtocol},
            {"reason of another packet", k5, first_byte, "00018d", kProtocol},
            {"trailing bytes", k5, first_byte, "0001000000", kMalformed},
            {"property length beyond", k5, first_byte, "00010001", kMalformed},
            {"foreign property", k5, first_byte, "0001000311000a", kMalformed},
            {"reason string twice", k5, first_byte, "000100081f0001'a'1f0001'b'", kProtocol},
        }
    );
  }
  check_rows(
      Sender::kClient,
      {
          {"PUBREL 0x91", k5, 0x62, "000191", kProtocol},
          {"PUBCOMP 0x10", k5, 0x70, "000110", kProtocol},
          {"PUBACK 0x92", k5, 0x40, "000192", kProtocol},
      }
  );
}

TEST_CASE("malformed SUBSCRIBE and UNSUBSCRIBE") {
  check_rows(
      Sender::kClient,
      {
          {"empty", k3, 0x82, "", kMalformed},
          {"MQTT-3.8.3-3 (3.1.1) no filter", k3, 0x82, "0001", kProtocol},
          {"MQTT-3.8.3-2 no filter", k5, 0x82, "000100", kProtocol},
          {"MQTT-2.2.1-3 id 0", k3, 0x82, "0000 0001'a'00", kProtocol},
          {"no properties", k5, 0x82, "0001", kMalformed},
          {"no options", k3, 0x82, "0001 0001'a'", kMalformed},
          {"filter cut", k3, 0x82, "0001 0002'a'", kMalformed},
          {"second entry cut", k3, 0x82, "0001 0001'a'00 00", kMalformed},
          {"MQTT-3.8.3-1 UTF-8", k3, 0x82, "0001 0001ff00", kMalformed},
          {"MQTT-3.8.3-4 (3.1.1) QoS 3", k3, 0x82, "0001 0001'a'03", kMalformed},
          {"MQTT-3.8.3-4 (3.1.1) reserved", k3, 0x82, "0001 0001'a'04", kMalformed},
          {"MQTT-3.8.3-4 (3.1.1) reserved", k3, 0x82, "0001 0001'a'80", kMalformed},
          {"MQTT5 3.8.3.1 QoS 3", k5, 0x82, "000100 0001'a'03", kProtocol},
          {"MQTT5 3.8.3.1 retain handling 3", k5, 0x82, "000100 0001'a'30", kProtocol},
          {"MQTT-3.8.3-5 reserved", k5, 0x82, "000100 0001'a'40", kMalformed},
          {"MQTT-3.8.3-5 reserved", k5, 0x82, "000100 0001'a'80", kMalformed},
          {"MQTT-3.8.3-4 no local, shared", k5, 0x82, "000100 000a'$share/g/a'04", kProtocol},
          {"subscription id 0", k5, 0x82, "0001 02 0b00 0001'a'00", kProtocol},
          {"subscription id twice", k5, 0x82, "0001 04 0b010b02 0001'a'00", kProtocol},
          {"foreign property", k5, 0x82, "0001 03 230001 0001'a'00", kMalformed},
          {"UNSUBSCRIBE empty", k3, 0xA2, "", kMalformed},
          {"MQTT-3.10.3-2 no filter", k3, 0xA2, "0001", kProtocol},
          {"MQTT-3.10.3-2 no filter", k5, 0xA2, "000100", kProtocol},
          {"UNSUBSCRIBE id 0", k5, 0xA2, "0000 00 0001'a'", kProtocol},
          {"UNSUBSCRIBE filter cut", k3, 0xA2, "0001 0002'a'", kMalformed},
          {"MQTT-3.10.3-1 UTF-8", k5, 0xA2, "0001 00 0001ff", kMalformed},
          {"UNSUBSCRIBE with a subscription id", k5, 0xA2, "0001 02 0b01 0001'a'", kMalformed},
      }
  );
}

TEST_CASE("malformed CONNACK, SUBACK, UNSUBACK") {
  check_rows(
      Sender::kServer,
      {
          {"empty", k3, 0x20, "", kMalformed},
          {"one byte", k3, 0x20, "00", kMalformed},
          {"MQTT-3.2.2-1 reserved flags", k3, 0x20, "0200", kMalformed},
          {"return code 6", k3, 0x20, "0006", kMalformed},
          {"MQTT-3.2.2-6 present and refused", k3, 0x20, "0105", kProtocol},
          {"MQTT-3.2.2-6 present and refused", k5, 0x20, "018700", kProtocol},
          {"trailing bytes", k3, 0x20, "000000", kMalformed},
          {"trailing bytes", k5, 0x20, "00000000", kMalformed},
          {"no properties", k5, 0x20, "0000", kMalformed},
          {"reason of another packet", k5, 0x20, "000400", kProtocol},
          {"maximum QoS 2", k5, 0x20, "000002 2402", kProtocol},
          {"retain available 2", k5, 0x20, "000002 2502", kProtocol},
          {"wildcard available 2", k5, 0x20, "000002 2802", kProtocol},
          {"subscription ids available 2", k5, 0x20, "000002 2902", kProtocol},
          {"shared available 2", k5, 0x20, "000002 2a02", kProtocol},
          {"receive maximum 0", k5, 0x20, "000003 210000", kProtocol},
          {"SUBACK of nothing", k3, 0x90, "0001", kProtocol},
          {"MQTT-3.9.3-2 (3.1.1)", k3, 0x90, "000187", kMalformed},
          {"SUBACK undefined reason", k5, 0x90, "00010003", kProtocol},
          {"SUBACK id 0", k5, 0x90, "00000000", kProtocol},
          {"UNSUBACK of nothing", k5, 0xB0, "000100", kProtocol},
          {"UNSUBACK granted QoS", k5, 0xB0, "00010001", kProtocol},
          {"UNSUBACK has no payload", k3, 0xB0, "000100", kMalformed},
      }
  );
}

TEST_CASE("malformed DISCONNECT and AUTH") {
  check_rows(
      Sender::kClient,
      {
          {"MQTT3 3.14.2 body", k3, 0xE0, "00", kMalformed},
          {"MQTT-3.14.2-1 undefined reason", k5, 0xE0, "03", kProtocol},
          {"MQTT-3.14.2-1 reason of the server", k5, 0xE0, "8e", kProtocol},
          {"server reference of a client", k5, 0xE0, "00 04 1c0001'a'", kProtocol},
          {"session expiry twice", k5, 0xE0, "00 0a 11000000011100000001", kProtocol},
          {"trailing bytes", k5, 0xE0, "000000", kMalformed},
          {"AUTH success of a client", k5, 0xF0, "", kProtocol},
          {"AUTH without method", k5, 0xF0, "18", kProtocol},
          {"AUTH without method", k5, 0xF0, "19 00", kProtocol},
          {"AUTH undefined reason", k5, 0xF0, "17 04 150001'a'", kProtocol},
          {"AUTH trailing bytes", k5, 0xF0, "18 04 150001'a' 00", kMalformed},
      }
  );
  check_rows(
      Sender::kServer,
      {
          {"MQTT-3.14.2-2 session expiry of the server", k5, 0xE0, "8d 05 1100000001", kProtocol},
          {"DISCONNECT with will of the server", k5, 0xE0, "04", kProtocol},
          {"AUTH re-authenticate of the server", k5, 0xF0, "19 04 150001'a'", kProtocol},
      }
  );
}

}  // namespace
}  // namespace iotcore::broker::mqtt
