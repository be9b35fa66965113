#include "broker/mqtt/properties.h"

#include "broker/mqtt/property_table.h"
#include "broker/mqtt/text.h"

#include <cstring>

namespace iotcore::broker::mqtt {
namespace {

using P = Property;
using T = PropertyType;
using property_table::kDisconnect;
using property_table::kPublish;
using property_table::kTable;
using property_table::kWill;

constexpr PropertyInfo kUnknownProperty;

constexpr bool is_number(PropertyType type) {
  return type == T::kByte || type == T::kTwoByteInteger || type == T::kFourByteInteger ||
         type == T::kVariableByteInteger;
}

constexpr bool is_repeatable(const PropertyInfo& info, PropertyScope scope) {
  return ((info.repeatable >> static_cast<unsigned>(scope)) & 1U) != 0;
}

Fault malformed(const char* why) {
  return {Errc::kMalformedPacket, why};
}

Fault protocol_error(const char* why) {
  return {Errc::kProtocolError, why};
}

std::uint32_t read_number(ByteReader& reader, PropertyType type, bool& ok) {
  std::uint32_t value = 0;
  ok = true;
  switch (type) {
    case T::kByte:
      value = reader.u8();
      break;
    case T::kTwoByteInteger:
      value = reader.u16();
      break;
    case T::kFourByteInteger:
      value = reader.u32();
      break;
    default: {
      const auto read = read_variable_byte_integer(reader);
      ok = read.has_value();
      return read.value_or(0);
    }
  }
  ok = reader.ok();
  return value;
}

std::size_t number_size(PropertyType type, std::uint32_t value) {
  switch (type) {
    case T::kByte:
      return 1;
    case T::kTwoByteInteger:
      return 2;
    case T::kFourByteInteger:
      return 4;
    default:
      return variable_byte_integer_size(value);
  }
}

char* write_u16(char* out, std::size_t value) {
  IOTCORE_CHECK(value <= 0xFFFF);
  out[0] = static_cast<char>(value >> 8U);
  out[1] = static_cast<char>(value);
  return out + 2;
}

char* write_text(char* out, std::string_view text) {
  out = write_u16(out, text.size());
  if (!text.empty()) {
    std::memcpy(out, text.data(), text.size());
  }
  return out + text.size();
}

char* write_number(char* out, PropertyType type, std::uint32_t value) {
  switch (type) {
    case T::kByte:
      *out = static_cast<char>(value);
      return out + 1;
    case T::kTwoByteInteger:
      return write_u16(out, value);
    case T::kFourByteInteger:
      out = write_u16(out, value >> 16U);
      return write_u16(out, value & 0xFFFFU);
    default:
      return write_variable_byte_integer(out, value);
  }
}

std::size_t single_size(Property id, const PropertyInfo& info, const PropertiesView& properties) {
  return 1 + (is_number(info.type) ? number_size(info.type, properties.number_or(id, 0))
                                   : 2 + properties.text_or(id, {}).size());
}

char* write_single(
    char* out, Property id, const PropertyInfo& info, const PropertiesView& properties
) {
  *out++ = static_cast<char>(id);
  return is_number(info.type) ? write_number(out, info.type, properties.number_or(id, 0))
                              : write_text(out, properties.text_or(id, {}));
}

// f(id, info) for every property that is present and not walked as repeated, in the order of the
// ids.
template <typename F>
void for_each_single(std::uint64_t present, PropertyScope scope, F&& f) {
  while (present != 0) {
    const auto id = static_cast<std::size_t>(__builtin_ctzll(present));
    present &= present - 1;
    if (!is_repeatable(kTable[id], scope)) {
      f(static_cast<Property>(id), kTable[id]);
    }
  }
}

// Bytes of the repeated properties that count in this scope.
template <typename F>
void for_each_repeated(std::string_view repeated, PropertyScope scope, F&& f) {
  for (ByteReader reader(repeated); reader.remaining() > 0;) {
    const char* const begin = reader.position();
    const detail::RepeatedEntry entry = detail::next_entry(reader);
    if (is_repeatable(property_info(entry.id), scope)) {
      f(std::string_view(begin, static_cast<std::size_t>(reader.position() - begin)));
    }
  }
}

std::size_t block_size(const PropertiesView& properties, PropertyScope scope) {
  std::size_t size = 0;
  for_each_single(properties.present(), scope, [&](Property id, const PropertyInfo& info) {
    size += single_size(id, info, properties);
  });
  for_each_repeated(properties.repeated(), scope, [&](std::string_view entry) {
    size += entry.size();
  });
  return size;
}

}  // namespace

const PropertyInfo& property_info(std::uint8_t id) {
  return id < kPropertyIdEnd ? kTable[id] : kUnknownProperty;
}

PropertiesView& PropertiesView::set(Property id, std::uint32_t value) {
  const PropertyInfo& info = property_info(id);
  IOTCORE_DCHECK(is_number(info.type));
  numbers_[info.slot] = value;
  present_ |= bit(id);
  return *this;
}

PropertiesView& PropertiesView::set(Property id, std::string_view value) {
  const PropertyInfo& info = property_info(id);
  IOTCORE_DCHECK(info.type == T::kText || info.type == T::kBinary);
  texts_[info.slot] = value;
  present_ |= bit(id);
  return *this;
}

PropertiesView& PropertiesView::set_repeated(std::string_view encoded) {
  repeated_ = encoded;
  for (ByteReader reader(encoded); reader.remaining() > 0;) {
    const detail::RepeatedEntry entry = detail::next_entry(reader);
    if (entry.id == P::kSubscriptionIdentifier && !has(entry.id)) {
      set(entry.id, entry.number);
    }
    present_ |= bit(entry.id);
  }
  return *this;
}

bool operator==(const PropertiesView& a, const PropertiesView& b) {
  if (a.present_ != b.present_) {
    return false;
  }
  bool equal = true;
  for_each_single(a.present_, PropertyScope::kWill, [&](Property id, const PropertyInfo& info) {
    equal =
        equal && (is_number(info.type) ? a.number(id) == b.number(id) : a.text(id) == b.text(id));
  });
  const auto differ = [](const PropertiesView& x, const PropertiesView& y) {
    std::string pairs[2];
    std::string ids[2];
    const PropertiesView* const views[2] = {&x, &y};
    for (std::size_t i = 0; i < 2; ++i) {
      views[i]->for_each_user_property([&](const UserPropertyView& pair) {
        append_user_property(pairs[i], pair.name, pair.value);
      });
      views[i]->for_each_subscription_id([&](std::uint32_t id) {
        append_subscription_id(ids[i], id);
      });
    }
    return pairs[0] != pairs[1] || ids[0] != ids[1];
  };
  return equal && !differ(a, b);
}

std::optional<std::uint32_t> read_variable_byte_integer(ByteReader& reader) {
  std::uint32_t value = 0;
  for (unsigned shift = 0; shift < 28; shift += 7) {
    const std::uint8_t byte = reader.u8();
    if (!reader.ok()) {
      return std::nullopt;
    }
    value |= static_cast<std::uint32_t>(byte & 0x7FU) << shift;
    if (byte < 0x80) {
      return byte == 0 && shift > 0 ? std::nullopt : std::optional(value);
    }
  }
  return std::nullopt;
}

namespace detail {

RepeatedEntry next_entry(ByteReader& reader) {
  RepeatedEntry entry{static_cast<Property>(reader.u8()), 0, {}};
  const PropertyType type = property_info(entry.id).type;
  if (is_number(type)) {
    bool ok = true;
    entry.number = read_number(reader, type, ok);
    return entry;
  }
  entry.pair.name = reader.bytes(reader.u16());
  if (type == T::kTextPair) {
    entry.pair.value = reader.bytes(reader.u16());
  }
  // Only for blocks of our own; anything else would make the walk endless.
  IOTCORE_CHECK(reader.ok());
  return entry;
}

}  // namespace detail

namespace {

Fault check_number(const PropertyInfo& info, std::uint32_t value) {
  return value < info.value_min || value > info.value_max
             ? Fault{info.out_of_range, "a property's value is out of its range (MQTT5 2.2.2.2)"}
             : Fault{};
}

// The text or data of one property.
Fault read_text(ByteReader& reader, PropertyType type, std::string_view& out) {
  out = reader.bytes(reader.u16());
  if (!reader.ok()) {
    return malformed("a property ends after its block");
  }
  return type != T::kBinary && !is_mqtt_text(out)
             ? malformed("MQTT-1.5.4-1, -2: a property's text is not UTF-8 or has U+0000")
             : Fault{};
}

// What 3.x allows to one side only.
Fault check_sender(Property id, PropertyScope scope, Sender sender) {
  if (sender == Sender::kClient && scope == kPublish && id == P::kSubscriptionIdentifier) {
    return protocol_error("MQTT-3.3.4-6: a PUBLISH of a client has a subscription identifier");
  }
  if (sender == Sender::kClient && scope == kDisconnect && id == P::kServerReference) {
    return protocol_error("a DISCONNECT of a client has a server reference (MQTT5 3.14.2.2.5)");
  }
  if (sender == Sender::kServer && scope == kDisconnect && id == P::kSessionExpiryInterval) {
    return protocol_error("MQTT-3.14.2-2: a DISCONNECT of the server has a session expiry");
  }
  return {};
}

Fault check_response_topic(std::string_view topic) {
  if (topic.empty()) {
    return protocol_error("MQTT-4.7.3-1: the response topic is empty");
  }
  return topic.find_first_of("+#") != std::string_view::npos
             ? protocol_error("MQTT-3.3.2-14: the response topic has a wildcard")
             : Fault{};
}

}  // namespace

// Reads one block, property by property.
class PropertyBlockReader {
 public:
  PropertyBlockReader(
      std::string_view block, PropertyScope scope, Sender sender, PropertiesView& out
  )
      : reader_(block), scope_(scope), sender_(sender), out_(out) {}

  Fault read() {
    const char* repeated_begin = nullptr;
    while (reader_.remaining() > 0) {
      const char* const begin = reader_.position();
      const auto id = static_cast<Property>(reader_.u8());
      const PropertyInfo& info = property_info(id);
      if (const Fault fault = read_one(id, info)) {
        return fault;
      }
      out_.present_ |= PropertiesView::bit(id);
      if (is_repeatable(info, scope_)) {
        repeated_begin = repeated_begin == nullptr ? begin : repeated_begin;
        out_.repeated_ = {
            repeated_begin, static_cast<std::size_t>(reader_.position() - repeated_begin)};
      }
    }
    return {};
  }

 private:
  Fault read_one(Property id, const PropertyInfo& info) {
    if (((info.scopes >> static_cast<unsigned>(scope_)) & 1U) == 0) {
      return malformed("a property that is unknown or not for this packet (MQTT5 2.2.2.2)");
    }
    if (out_.has(id) && !is_repeatable(info, scope_)) {
      return protocol_error("a property is there twice (MQTT5 2.2.2.2)");
    }
    if (const Fault fault = check_sender(id, scope_, sender_)) {
      return fault;
    }
    if (is_number(info.type)) {
      return read_number_of(id, info);
    }
    if (info.type == T::kTextPair) {
      std::string_view passed_over;
      const Fault fault = read_text(reader_, info.type, passed_over);
      return fault ? fault : read_text(reader_, info.type, passed_over);
    }
    std::string_view& text = out_.texts_[info.slot];
    const Fault fault = read_text(reader_, info.type, text);
    return fault || id != P::kResponseTopic ? fault : check_response_topic(text);
  }

  Fault read_number_of(Property id, const PropertyInfo& info) {
    bool ok = false;
    const std::uint32_t value = read_number(reader_, info.type, ok);
    if (!ok) {
      return malformed("a property ends after its block, or is ill-formed");
    }
    if (!out_.has(id)) {
      out_.numbers_[info.slot] = value;
    }
    return check_number(info, value);
  }

  ByteReader reader_;
  PropertyScope scope_;
  Sender sender_;
  PropertiesView& out_;
};

Fault decode_properties(
    ByteReader& reader, PropertyScope scope, Sender sender, PropertiesView& out
) {
  out.clear();
  const std::optional<std::uint32_t> length = read_variable_byte_integer(reader);
  if (!length || *length > reader.remaining()) {
    return malformed("MQTT-2.2.2-1: a property length is ill-formed or beyond the packet");
  }
  return PropertyBlockReader(reader.bytes(*length), scope, sender, out).read();
}

std::size_t encoded_size(const PropertiesView& properties, PropertyScope scope) {
  const std::size_t size = block_size(properties, scope);
  IOTCORE_CHECK(size <= kVariableByteIntegerMax);
  return variable_byte_integer_size(static_cast<std::uint32_t>(size)) + size;
}

char* write_properties(char* out, const PropertiesView& properties, PropertyScope scope) {
  out = write_variable_byte_integer(out, static_cast<std::uint32_t>(block_size(properties, scope)));
  for_each_single(properties.present(), scope, [&](Property id, const PropertyInfo& info) {
    out = write_single(out, id, info, properties);
  });
  for_each_repeated(properties.repeated(), scope, [&](std::string_view entry) {
    std::memcpy(out, entry.data(), entry.size());
    out += entry.size();
  });
  return out;
}

void append_user_property(std::string& block, std::string_view name, std::string_view value) {
  const std::size_t at = block.size();
  block.resize(at + 5 + name.size() + value.size());
  char* const out = block.data() + at;
  *out = static_cast<char>(P::kUserProperty);
  write_text(write_text(out + 1, name), value);
}

void append_subscription_id(std::string& block, std::uint32_t id) {
  char bytes[5] = {static_cast<char>(P::kSubscriptionIdentifier)};
  const char* const end = write_variable_byte_integer(bytes + 1, id);
  block.append(bytes, static_cast<std::size_t>(end - bytes));
}

void append_forwarded_properties(std::string& block, const PropertiesView& properties) {
  for (const Property id :
       {P::kPayloadFormatIndicator, P::kContentType, P::kResponseTopic, P::kCorrelationData}) {
    if (properties.has(id)) {
      const PropertyInfo& info = property_info(id);
      const std::size_t at = block.size();
      block.resize(at + single_size(id, info, properties));
      write_single(block.data() + at, id, info, properties);
    }
  }
  // The will's scope, so that subscription identifiers stay behind.
  for_each_repeated(properties.repeated(), kWill, [&](std::string_view entry) {
    block.append(entry);
  });
}

}  // namespace iotcore::broker::mqtt
