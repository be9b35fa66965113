#pragma once

#include "base/bytes.h"
#include "base/check.h"
#include "base/errc.h"
#include "broker/mqtt/reason.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace iotcore::broker::mqtt {

// Why bytes are refused: the meaning, and the rule that was broken in static words. False when
// nothing is wrong.
struct [[nodiscard]] Fault {
  Errc code = Errc::kMalformedPacket;
  const char* why = nullptr;

  explicit operator bool() const { return why != nullptr; }
};

// MQTT5 2.2.2.2.
enum class Property : std::uint8_t {
  kPayloadFormatIndicator = 0x01,
  kMessageExpiryInterval = 0x02,
  kContentType = 0x03,
  kResponseTopic = 0x08,
  kCorrelationData = 0x09,
  kSubscriptionIdentifier = 0x0B,
  kSessionExpiryInterval = 0x11,
  kAssignedClientIdentifier = 0x12,
  kServerKeepAlive = 0x13,
  kAuthenticationMethod = 0x15,
  kAuthenticationData = 0x16,
  kRequestProblemInformation = 0x17,
  kWillDelayInterval = 0x18,
  kRequestResponseInformation = 0x19,
  kResponseInformation = 0x1A,
  kServerReference = 0x1C,
  kReasonString = 0x1F,
  kReceiveMaximum = 0x21,
  kTopicAliasMaximum = 0x22,
  kTopicAlias = 0x23,
  kMaximumQos = 0x24,
  kRetainAvailable = 0x25,
  kUserProperty = 0x26,
  kMaximumPacketSize = 0x27,
  kWildcardSubscriptionAvailable = 0x28,
  kSubscriptionIdentifierAvailable = 0x29,
  kSharedSubscriptionAvailable = 0x2A,
};
inline constexpr std::size_t kPropertyIdEnd = 0x2B;

enum class PropertyType : std::uint8_t {
  kUnknown,
  kByte,
  kTwoByteInteger,
  kFourByteInteger,
  kVariableByteInteger,
  kText,
  kBinary,
  kTextPair,
};

// Where a property block stands: in a packet, or before the will in CONNECT.
enum class PropertyScope : std::uint8_t { kWill = 0 };

constexpr PropertyScope scope_of(PacketType type) {
  return static_cast<PropertyScope>(type);
}

struct PropertyInfo {
  std::string_view name;
  PropertyType type = PropertyType::kUnknown;
  std::uint16_t scopes = 0;      // bit n: allowed in the scope n
  std::uint16_t repeatable = 0;  // bit n: may be there more than once in the scope n
  std::uint32_t value_min = 0;   // integers: outside of these it is an error with the code below
  std::uint32_t value_max = 0xFFFFFFFF;
  Errc out_of_range = Errc::kProtocolError;
  std::uint8_t slot = 0;  // place among the numbers or texts of PropertiesView
};

// The type is kUnknown for an id that MQTT5 does not define.
const PropertyInfo& property_info(std::uint8_t id);

inline const PropertyInfo& property_info(Property id) {
  return property_info(static_cast<std::uint8_t>(id));
}

struct UserPropertyView {
  std::string_view name;
  std::string_view value;

  friend bool operator==(const UserPropertyView&, const UserPropertyView&) = default;
};

// The properties of one packet or will, read or to be written. Texts point into the decoder's
// input, or into what the writer was given, until that changes. Repeatable properties are an
// encoded block that is walked.
class PropertiesView {
 public:
  bool has(Property id) const { return (present_ & bit(id)) != 0; }

  bool empty() const { return present_ == 0; }

  // Bit n: the property with the id n.
  std::uint64_t present() const { return present_; }

  void clear() {
    present_ = 0;
    repeated_ = {};
  }

  // Integers of all four widths.
  std::optional<std::uint32_t> number(Property id) const {
    return has(id) ? std::optional(numbers_[property_info(id).slot]) : std::nullopt;
  }

  std::uint32_t number_or(Property id, std::uint32_t absent) const {
    return has(id) ? numbers_[property_info(id).slot] : absent;
  }

  // Texts and binary data.
  std::optional<std::string_view> text(Property id) const {
    return has(id) ? std::optional(texts_[property_info(id).slot]) : std::nullopt;
  }

  std::string_view text_or(Property id, std::string_view absent) const {
    return has(id) ? texts_[property_info(id).slot] : absent;
  }

  PropertiesView& set(Property id, std::uint32_t value);
  PropertiesView& set(Property id, std::string_view value);

  // User properties, and in PUBLISH the subscription identifiers, as appended by
  // append_user_property and append_subscription_id. A decoded view may have other properties in
  // between, which the walks below pass over.
  PropertiesView& set_repeated(std::string_view encoded);

  std::string_view repeated() const { return repeated_; }

  // f(UserPropertyView) for each, in order.
  template <typename F>
  void for_each_user_property(F&& f) const;
  // f(std::uint32_t) for each subscription identifier of a PUBLISH, in order.
  template <typename F>
  void for_each_subscription_id(F&& f) const;

  // Same values; the order counts among user properties only.
  friend bool operator==(const PropertiesView& a, const PropertiesView& b);

 private:
  friend class PropertyBlockReader;  // properties.cpp

  static constexpr std::uint64_t bit(Property id) {
    return std::uint64_t{1} << static_cast<std::uint8_t>(id);
  }

  std::uint64_t present_ = 0;
  std::string_view repeated_;
  std::array<std::uint32_t, 17> numbers_{};
  std::array<std::string_view, 9> texts_{};
};

// Reads the property length and the block after it. kMalformedPacket: ill-formed, unknown, or not
// for this scope; kProtocolError: twice, out of range, not for this sender; kTopicAliasInvalid:
// alias 0.
Fault decode_properties(
    ByteReader& reader, PropertyScope scope, Sender sender, PropertiesView& out
);

// Bytes of the block with its length in front, and the writing of it; returns the end of what was
// written.
std::size_t encoded_size(const PropertiesView& properties, PropertyScope scope);
char* write_properties(char* out, const PropertiesView& properties, PropertyScope scope);

// One more entry of a block for PropertiesView::set_repeated.
void append_user_property(std::string& block, std::string_view name, std::string_view value);
void append_subscription_id(std::string& block, std::uint32_t id);

// What goes with a message to every v5 receiver unchanged (MQTT5 3.3.2-4, -15, -16, -17, -20):
// payload format, content type, response topic, correlation data, user properties; no expiry, alias
// or subscription identifier. Without length.
void append_forwarded_properties(std::string& block, const PropertiesView& properties);

// A variable byte integer, 1 to 4 bytes.
inline constexpr std::uint32_t kVariableByteIntegerMax = 268'435'455;

constexpr std::size_t variable_byte_integer_size(std::uint32_t value) {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20'0000 ? 3 : 4;
}

inline char* write_variable_byte_integer(char* out, std::uint32_t value) {
  while (value >= 0x80) {
    *out++ = static_cast<char>(0x80U | (value & 0x7FU));
    value >>= 7;
  }
  *out++ = static_cast<char>(value);
  return out;
}

// Overlong forms and a fifth byte are refused (MQTT5 1.5.5-1): nothing, or the value.
std::optional<std::uint32_t> read_variable_byte_integer(ByteReader& reader);

namespace detail {

// One property of a block that decode_properties has accepted or append_* has written.
struct RepeatedEntry {
  Property id;
  std::uint32_t number;
  UserPropertyView pair;
};

RepeatedEntry next_entry(ByteReader& reader);

}  // namespace detail

template <typename F>
void PropertiesView::for_each_user_property(F&& f) const {
  for (ByteReader reader(repeated_); reader.remaining() > 0;) {
    const detail::RepeatedEntry entry = detail::next_entry(reader);
    if (entry.id == Property::kUserProperty) {
      f(entry.pair);
    }
  }
}

template <typename F>
void PropertiesView::for_each_subscription_id(F&& f) const {
  for (ByteReader reader(repeated_); reader.remaining() > 0;) {
    const detail::RepeatedEntry entry = detail::next_entry(reader);
    if (entry.id == Property::kSubscriptionIdentifier) {
      f(entry.number);
    }
  }
}

}  // namespace iotcore::broker::mqtt
