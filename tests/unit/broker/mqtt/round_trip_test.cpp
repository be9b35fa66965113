#include "broker/mqtt/decoder.h"
#include "broker/mqtt/encoder.h"
#include "tests/unit/broker/mqtt/bytes_of.h"
#include "tests/unit/broker/mqtt/random_packets.h"

#include <catch2/catch.hpp>

#include <string>
#include <variant>
#include <vector>

namespace iotcore::broker::mqtt {
namespace {

std::string encoded(Version version, const PacketView& packet) {
  std::string out;
  std::visit(
      [&](const auto& p) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(p)>, std::monostate>) {
          encode(out, version, p);
          CHECK(out.size() == encoded_size(version, p));
        }
      },
      packet
  );
  return out;
}

// Packets without properties are equal to v3's; a v3 packet has none.
TEST_CASE("decode(encode(packet)) = packet, for random packets of both versions and sides") {
  for (const Version version : {Version::kV3, Version::kV5}) {
    for (const Sender sender : {Sender::kClient, Sender::kServer}) {
      RandomPackets packets(7 + static_cast<unsigned>(sender));
      for (int i = 0; i < 3000; ++i) {
        const PacketView packet = packets.packet(version, sender);
        const std::string bytes = encoded(version, packet);
        const Decoded decoded = decode(bytes, {.version = version, .sender = sender});
        CAPTURE(i, static_cast<int>(version), packet.index());
        CAPTURE(decoded.fault ? decoded.fault.why : "");
        REQUIRE(decoded.state == FrameView::State::kReady);
        REQUIRE(decoded.size_bytes == bytes.size());
        REQUIRE(decoded.packet == packet);
        // And what was decoded encodes to the same bytes again.
        REQUIRE(encoded(version, decoded.packet) == bytes);
      }
    }
  }
}

TEST_CASE("fed byte by byte, a packet is whole exactly at its last byte") {
  for (const Version version : {Version::kV3, Version::kV5}) {
    RandomPackets packets(11);
    for (int i = 0; i < 200; ++i) {
      const PacketView packet = packets.packet(version, Sender::kClient);
      const std::string bytes = encoded(version, packet);
      const DecodeContext context{.version = version};
      for (std::size_t n = 0; n < bytes.size(); n += n < 8 || bytes.size() - n < 8 ? 1 : 5) {
        // A copy of its own, so that the sanitizer sees a read past the end.
        const std::vector<char> part(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
        const Decoded decoded = decode({part.data(), part.size()}, context);
        REQUIRE(decoded.state == FrameView::State::kNeedMore);
        REQUIRE((decoded.size_bytes == 0 || decoded.size_bytes == bytes.size()));
        REQUIRE((n < 5 || decoded.size_bytes == bytes.size()));
      }
      REQUIRE(decode(bytes, context).packet == packet);
    }
  }
}

TEST_CASE("damaged packets are refused or read as something valid, and nothing is read past the end"
) {
  for (const Version version : {Version::kV3, Version::kV5}) {
    for (const Sender sender : {Sender::kClient, Sender::kServer}) {
      RandomPackets packets(23);
      for (int i = 0; i < 3000; ++i) {
        std::string bytes = encoded(version, packets.packet(version, sender));
        for (unsigned n = 1 + packets.random().below(3); n > 0; --n) {
          bytes[packets.random().below(static_cast<unsigned>(bytes.size()))] =
              static_cast<char>(packets.random().below(256));
        }
        const std::vector<char> exact(bytes.begin(), bytes.end());
        const DecodeContext context{.version = version, .sender = sender};
        const Decoded decoded = decode({exact.data(), exact.size()}, context);
        if (decoded.state != FrameView::State::kReady) {
          continue;
        }
        const PacketView packet = decoded.packet;
        const auto* const connect = std::get_if<ConnectView>(&packet);
        const Version as = connect == nullptr ? version : connect->version;
        const std::string again = encoded(as, packet);
        const Decoded second = decode(again, {.version = as, .sender = sender});
        REQUIRE(second.state == FrameView::State::kReady);
        REQUIRE(second.packet == packet);
      }
    }
  }
}

TEST_CASE("encoded packets are the bytes of the standard") {
  std::string out;
  for (const auto& ack :
       {short_ack(PacketType::kPuback, static_cast<PacketId>(0x1234)),
        short_ack(PacketType::kPubrel, static_cast<PacketId>(1))}) {
    out.append(ack.data(), ack.size());
  }
  CHECK(out == bytes_of("40 02 1234 62 02 0001"));
  out.clear();
  encode(out, Version::kV3, Connack{.session_present = false, .reason = Reason::kServerBusy});
  encode(out, Version::kV5, Connack{.session_present = true});
  CHECK(out == bytes_of("20 02 0003 20 03 010000"));
  out.clear();
  encode(
      out,
      Version::kV3,
      Ack{.type = PacketType::kPuback,
          .packet_id = static_cast<PacketId>(5),
          .reason = Reason::kNotAuthorized}
  );
  encode(
      out,
      Version::kV5,
      Ack{.type = PacketType::kPuback,
          .packet_id = static_cast<PacketId>(5),
          .reason = Reason::kNotAuthorized}
  );
  CHECK(out == bytes_of("40 02 0005 40 03 000587"));
  out.clear();
  SubackView suback;
  suback.packet_id = static_cast<PacketId>(9);
  suback.reasons = "\x01\x8f";
  encode(out, Version::kV3, suback);
  encode(out, Version::kV5, suback);
  CHECK(out == bytes_of("90 04 0009 0180 90 05 0009 00 018f"));
}

// What every receiver should get, put together the slow way.
PublishView delivered(
    RandomPackets& packets,
    Version version,
    const PublishView& message,
    const PublishDelivery& delivery
) {
  PublishView out;
  out.topic = delivery.topic_omitted ? std::string_view() : message.topic;
  out.payload = message.payload;
  out.qos = delivery.qos;
  out.retain = delivery.retain;
  out.dup = delivery.dup;
  out.packet_id = delivery.packet_id;
  if (version != Version::kV5) {
    return out;
  }
  for (const Property id :
       {Property::kContentType, Property::kResponseTopic, Property::kCorrelationData}) {
    if (const auto text = message.properties.text(id)) {
      out.properties.set(id, *text);
    }
  }
  if (const auto format = message.properties.number(Property::kPayloadFormatIndicator)) {
    out.properties.set(Property::kPayloadFormatIndicator, *format);
  }
  if (delivery.expiry_s) {
    out.properties.set(Property::kMessageExpiryInterval, *delivery.expiry_s);
  }
  if (delivery.topic_alias != 0) {
    out.properties.set(Property::kTopicAlias, delivery.topic_alias);
  }
  std::string repeated;
  for (const std::uint32_t id : delivery.subscription_ids) {
    append_subscription_id(repeated, id);
  }
  message.properties.for_each_user_property([&](const UserPropertyView& pair) {
    append_user_property(repeated, pair.name, pair.value);
  });
  out.properties.set_repeated(packets.keep(std::move(repeated)));
  return out;
}

TEST_CASE("a PUBLISH head and the payload make the packet that its receiver should get") {
  RandomPackets packets(31);
  Random& random = packets.random();
  for (int i = 0; i < 2000; ++i) {
    const PacketView packet = packets.packet(Version::kV5, Sender::kClient);
    const auto* const message = std::get_if<PublishView>(&packet);
    if (message == nullptr || message->topic.empty()) {
      continue;
    }
    std::string forwarded;
    append_forwarded_properties(forwarded, message->properties);
    const PublishCommon common{message->topic, forwarded, message->payload.size()};
    const std::uint32_t ids[] = {1 + random.below(300), 1 + random.below(100000)};
    PublishDelivery delivery;
    delivery.qos = static_cast<Qos>(random.below(3));
    delivery.retain = random.one_in(2);
    if (delivery.qos != Qos::kAtMostOnce) {
      delivery.packet_id = static_cast<PacketId>(1 + random.below(65535));
      delivery.dup = random.one_in(2);
    }
    const Version version = random.one_in(2) ? Version::kV3 : Version::kV5;
    if (version == Version::kV5) {
      delivery.topic_alias = static_cast<std::uint16_t>(random.below(3));
      delivery.topic_omitted = delivery.topic_alias != 0 && random.one_in(2);
      delivery.expiry_s = random.one_in(2) ? std::optional(random.below(1000)) : std::nullopt;
      delivery.subscription_ids = std::span(ids, random.below(3));
    }
    const PublishView expected = delivered(packets, version, *message, delivery);

    std::string bytes(publish_size(version, common, delivery) - message->payload.size(), '\0');
    REQUIRE(
        write_publish_head(bytes.data(), version, common, delivery) == bytes.data() + bytes.size()
    );
    bytes.append(message->payload);
    const Decoded decoded = decode(bytes, {.version = version, .sender = Sender::kServer});
    CAPTURE(decoded.fault ? decoded.fault.why : "");
    REQUIRE(decoded.packet == PacketView(expected));
  }
}

}  // namespace
}  // namespace iotcore::broker::mqtt
