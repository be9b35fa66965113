#include "broker/mqtt/encoder.h"

#include "base/check.h"

#include <cstring>

namespace iotcore::broker::mqtt {
namespace {

// The two ways to go over a packet's body: to measure it and to write it.
class Sizer {
 public:
  void u8(unsigned) { size_ += 1; }

  void u16(std::size_t) { size_ += 2; }

  void bytes(std::string_view bytes) { size_ += bytes.size(); }

  void properties(const PropertiesView& properties, PropertyScope scope) {
    size_ += encoded_size(properties, scope);
  }

  std::size_t size() const { return size_; }

 private:
  std::size_t size_ = 0;
};

class Writer {
 public:
  explicit Writer(char* at) : at_(at) {}

  void u8(unsigned value) { *at_++ = static_cast<char>(value); }

  void u16(std::size_t value) {
    IOTCORE_CHECK(value <= 0xFFFF);
    u8(static_cast<unsigned>(value >> 8U));
    u8(static_cast<unsigned>(value & 0xFFU));
  }

  void bytes(std::string_view bytes) {
    if (!bytes.empty()) {
      std::memcpy(at_, bytes.data(), bytes.size());
      at_ += bytes.size();
    }
  }

  void properties(const PropertiesView& properties, PropertyScope scope) {
    at_ = write_properties(at_, properties, scope);
  }

  char* at() const { return at_; }

 private:
  char* at_;
};

template <typename Sink>
void put_text(Sink& sink, std::string_view text) {
  sink.u16(text.size());
  sink.bytes(text);
}

template <typename Sink>
void put_id(Sink& sink, PacketId id) {
  sink.u16(static_cast<std::uint16_t>(id));
}

template <typename Sink>
void put_properties(
    Sink& sink, Version version, const PropertiesView& properties, PropertyScope scope
) {
  if (version == Version::kV5) {
    sink.properties(properties, scope);
  }
}

unsigned type_byte(PacketType type, unsigned flags = 0) {
  return (static_cast<unsigned>(type) << 4U) | flags;
}

unsigned connect_flags(const ConnectView& packet) {
  unsigned flags = packet.clean_start ? 2U : 0U;
  if (packet.will) {
    flags |=
        4U | (static_cast<unsigned>(packet.will->qos) << 3U) | (packet.will->retain ? 0x20U : 0U);
  }
  flags |= packet.password ? 0x40U : 0U;
  flags |= packet.user_name ? 0x80U : 0U;
  return flags;
}

unsigned first_byte(const ConnectView&) {
  return type_byte(PacketType::kConnect);
}

template <typename Sink>
void put_body(Sink& sink, Version version, const ConnectView& packet) {
  put_text(sink, "MQTT");
  sink.u8(static_cast<unsigned>(version));
  sink.u8(connect_flags(packet));
  sink.u16(packet.keep_alive_s);
  put_properties(sink, version, packet.properties, scope_of(PacketType::kConnect));
  put_text(sink, packet.client_id);
  if (packet.will) {
    put_properties(sink, version, packet.will->properties, PropertyScope::kWill);
    put_text(sink, packet.will->topic);
    put_text(sink, packet.will->payload);
  }
  if (packet.user_name) {
    put_text(sink, *packet.user_name);
  }
  if (packet.password) {
    put_text(sink, *packet.password);
  }
}

unsigned first_byte(const Connack&) {
  return type_byte(PacketType::kConnack);
}

template <typename Sink>
void put_body(Sink& sink, Version version, const Connack& packet) {
  sink.u8(packet.session_present ? 1 : 0);
  sink.u8(
      version == Version::kV5 ? static_cast<unsigned>(packet.reason)
                              : v3_connack_code(packet.reason).value_or(3)
  );
  put_properties(sink, version, packet.properties, scope_of(PacketType::kConnack));
}

unsigned publish_byte(Qos qos, bool retain, bool dup) {
  return type_byte(
      PacketType::kPublish,
      (retain ? 1U : 0U) | (static_cast<unsigned>(qos) << 1U) | (dup ? 8U : 0U)
  );
}

unsigned first_byte(const PublishView& packet) {
  return publish_byte(packet.qos, packet.retain, packet.dup);
}

template <typename Sink>
void put_body(Sink& sink, Version version, const PublishView& packet) {
  put_text(sink, packet.topic);
  if (packet.qos != Qos::kAtMostOnce) {
    put_id(sink, packet.packet_id);
  }
  put_properties(sink, version, packet.properties, scope_of(PacketType::kPublish));
  sink.bytes(packet.payload);
}

// Reason and properties where they say something; both may be left out from the end
// (MQTT5 3.4.2.1, 3.14.2.1, 3.15.2.1).
template <typename Sink>
void put_reason(
    Sink& sink, Version version, Reason reason, const PropertiesView& properties, PacketType type
) {
  if (version != Version::kV5 || (reason == Reason::kSuccess && properties.empty())) {
    return;
  }
  sink.u8(static_cast<unsigned>(reason));
  if (!properties.empty()) {
    sink.properties(properties, scope_of(type));
  }
}

unsigned first_byte(const Ack& packet) {
  return type_byte(packet.type, packet.type == PacketType::kPubrel ? 2 : 0);
}

template <typename Sink>
void put_body(Sink& sink, Version version, const Ack& packet) {
  put_id(sink, packet.packet_id);
  put_reason(sink, version, packet.reason, packet.properties, packet.type);
}

unsigned first_byte(const SubscribeView&) {
  return type_byte(PacketType::kSubscribe, 2);
}

template <typename Sink>
void put_body(Sink& sink, Version version, const SubscribeView& packet) {
  put_id(sink, packet.packet_id);
  put_properties(sink, version, packet.properties, scope_of(PacketType::kSubscribe));
  sink.bytes(packet.entries.encoded());
}

unsigned first_byte(const UnsubscribeView&) {
  return type_byte(PacketType::kUnsubscribe, 2);
}

template <typename Sink>
void put_body(Sink& sink, Version version, const UnsubscribeView& packet) {
  put_id(sink, packet.packet_id);
  put_properties(sink, version, packet.properties, scope_of(PacketType::kUnsubscribe));
  sink.bytes(packet.filters.encoded());
}

unsigned first_byte(const SubackView&) {
  return type_byte(PacketType::kSuback);
}

template <typename Sink>
void put_body(Sink& sink, Version version, const SubackView& packet) {
  put_id(sink, packet.packet_id);
  put_properties(sink, version, packet.properties, scope_of(PacketType::kSuback));
  if (version == Version::kV5) {
    sink.bytes(packet.reasons);
    return;
  }
  for (std::size_t i = 0; i < packet.count(); ++i) {
    sink.u8(is_error(packet.reason(i)) ? 0x80U : static_cast<unsigned>(packet.reason(i)));
  }
}

unsigned first_byte(const UnsubackView&) {
  return type_byte(PacketType::kUnsuback);
}

template <typename Sink>
void put_body(Sink& sink, Version version, const UnsubackView& packet) {
  put_id(sink, packet.packet_id);
  if (version == Version::kV5) {
    sink.properties(packet.properties, scope_of(PacketType::kUnsuback));
    sink.bytes(packet.reasons);
  }
}

unsigned first_byte(const Pingreq&) {
  return type_byte(PacketType::kPingreq);
}

template <typename Sink>
void put_body(Sink&, Version, const Pingreq&) {}

unsigned first_byte(const Pingresp&) {
  return type_byte(PacketType::kPingresp);
}

template <typename Sink>
void put_body(Sink&, Version, const Pingresp&) {}

unsigned first_byte(const Disconnect&) {
  return type_byte(PacketType::kDisconnect);
}

template <typename Sink>
void put_body(Sink& sink, Version version, const Disconnect& packet) {
  put_reason(sink, version, packet.reason, packet.properties, PacketType::kDisconnect);
}

unsigned first_byte(const Auth&) {
  return type_byte(PacketType::kAuth);
}

template <typename Sink>
void put_body(Sink& sink, Version version, const Auth& packet) {
  put_reason(sink, version, packet.reason, packet.properties, PacketType::kAuth);
}

std::uint32_t checked_length(std::size_t body_bytes) {
  IOTCORE_CHECK(body_bytes <= kVariableByteIntegerMax);
  return static_cast<std::uint32_t>(body_bytes);
}

template <typename Packet>
std::uint32_t body_size(Version version, const Packet& packet) {
  Sizer sizer;
  put_body(sizer, version, packet);
  return checked_length(sizer.size());
}

template <typename Packet>
std::size_t size_of(Version version, const Packet& packet) {
  const std::uint32_t size = body_size(version, packet);
  return 1 + variable_byte_integer_size(size) + size;
}

template <typename Packet>
char* write(char* out, Version version, const Packet& packet) {
  *out++ = static_cast<char>(first_byte(packet));
  Writer writer(write_variable_byte_integer(out, body_size(version, packet)));
  put_body(writer, version, packet);
  return writer.at();
}

}  // namespace

std::size_t encoded_size(Version v, const ConnectView& packet) {
  return size_of(v, packet);
}

std::size_t encoded_size(Version v, const Connack& packet) {
  return size_of(v, packet);
}

std::size_t encoded_size(Version v, const PublishView& packet) {
  return size_of(v, packet);
}

std::size_t encoded_size(Version v, const Ack& packet) {
  return size_of(v, packet);
}

std::size_t encoded_size(Version v, const SubscribeView& packet) {
  return size_of(v, packet);
}

std::size_t encoded_size(Version v, const SubackView& packet) {
  return size_of(v, packet);
}

std::size_t encoded_size(Version v, const UnsubscribeView& packet) {
  return size_of(v, packet);
}

std::size_t encoded_size(Version v, const UnsubackView& packet) {
  return size_of(v, packet);
}

std::size_t encoded_size(Version v, const Pingreq& packet) {
  return size_of(v, packet);
}

std::size_t encoded_size(Version v, const Pingresp& packet) {
  return size_of(v, packet);
}

std::size_t encoded_size(Version v, const Disconnect& packet) {
  return size_of(v, packet);
}

std::size_t encoded_size(Version v, const Auth& packet) {
  return size_of(v, packet);
}

char* write_packet(char* out, Version v, const ConnectView& packet) {
  return write(out, v, packet);
}

char* write_packet(char* out, Version v, const Connack& packet) {
  return write(out, v, packet);
}

char* write_packet(char* out, Version v, const PublishView& packet) {
  return write(out, v, packet);
}

char* write_packet(char* out, Version v, const Ack& packet) {
  return write(out, v, packet);
}

char* write_packet(char* out, Version v, const SubscribeView& packet) {
  return write(out, v, packet);
}

char* write_packet(char* out, Version v, const SubackView& packet) {
  return write(out, v, packet);
}

char* write_packet(char* out, Version v, const UnsubscribeView& packet) {
  return write(out, v, packet);
}

char* write_packet(char* out, Version v, const UnsubackView& packet) {
  return write(out, v, packet);
}

char* write_packet(char* out, Version v, const Pingreq& packet) {
  return write(out, v, packet);
}

char* write_packet(char* out, Version v, const Pingresp& packet) {
  return write(out, v, packet);
}

char* write_packet(char* out, Version v, const Disconnect& packet) {
  return write(out, v, packet);
}

char* write_packet(char* out, Version v, const Auth& packet) {
  return write(out, v, packet);
}

void append_entry(std::string& encoded, const SubscriptionView& subscription) {
  append_entry(encoded, subscription.filter);
  encoded.push_back(static_cast<char>(
      static_cast<unsigned>(subscription.qos) | (subscription.no_local ? 4U : 0U) |
      (subscription.retain_as_published ? 8U : 0U) |
      (static_cast<unsigned>(subscription.retain_handling) << 4U)
  ));
}

void append_entry(std::string& encoded, std::string_view filter) {
  IOTCORE_CHECK(filter.size() <= 0xFFFF);
  append_u16(encoded, static_cast<std::uint16_t>(filter.size()));
  encoded.append(filter);
}

namespace {

std::size_t property_bytes(const PublishCommon& common, const PublishDelivery& delivery) {
  std::size_t size = common.forwarded_properties.size();
  size += delivery.topic_alias != 0 ? 3 : 0;
  size += delivery.expiry_s ? 5 : 0;
  for (const std::uint32_t id : delivery.subscription_ids) {
    size += 1 + variable_byte_integer_size(id);
  }
  return size;
}

struct PublishSizes {
  PublishSizes(Version version, const PublishCommon& common, const PublishDelivery& delivery)
      : topic(delivery.topic_omitted ? std::string_view() : common.topic),
        properties(version == Version::kV5 ? property_bytes(common, delivery) : 0) {
    std::size_t size = 2 + topic.size() + common.payload_bytes;
    size += delivery.qos == Qos::kAtMostOnce ? 0 : 2;
    if (version == Version::kV5) {
      size += variable_byte_integer_size(checked_length(properties)) + properties;
    }
    remaining = checked_length(size);
  }

  std::size_t packet() const { return 1 + variable_byte_integer_size(remaining) + remaining; }

  std::string_view topic;
  std::size_t properties;
  std::uint32_t remaining;
};

void put_publish_properties(
    Writer& writer, std::size_t size, const PublishCommon& common, const PublishDelivery& delivery
) {
  char number[4];
  const auto put_variable = [&](std::size_t value) {
    const char* const end = write_variable_byte_integer(number, static_cast<std::uint32_t>(value));
    writer.bytes({number, static_cast<std::size_t>(end - number)});
  };
  put_variable(size);
  if (delivery.expiry_s) {
    writer.u8(static_cast<unsigned>(Property::kMessageExpiryInterval));
    writer.u16(*delivery.expiry_s >> 16U);
    writer.u16(*delivery.expiry_s & 0xFFFFU);
  }
  if (delivery.topic_alias != 0) {
    writer.u8(static_cast<unsigned>(Property::kTopicAlias));
    writer.u16(delivery.topic_alias);
  }
  for (const std::uint32_t id : delivery.subscription_ids) {
    writer.u8(static_cast<unsigned>(Property::kSubscriptionIdentifier));
    put_variable(id);
  }
  writer.bytes(common.forwarded_properties);
}

}  // namespace

std::size_t publish_size(
    Version version, const PublishCommon& common, const PublishDelivery& delivery
) {
  return PublishSizes(version, common, delivery).packet();
}

char* write_publish_head(
    char* out, Version version, const PublishCommon& common, const PublishDelivery& delivery
) {
  const PublishSizes sizes(version, common, delivery);
  *out++ = static_cast<char>(publish_byte(delivery.qos, delivery.retain, delivery.dup));
  Writer writer(write_variable_byte_integer(out, sizes.remaining));
  put_text(writer, sizes.topic);
  if (delivery.qos != Qos::kAtMostOnce) {
    put_id(writer, delivery.packet_id);
  }
  if (version == Version::kV5) {
    put_publish_properties(writer, sizes.properties, common, delivery);
  }
  return writer.at();
}

}  // namespace iotcore::broker::mqtt
