#pragma once

#include "broker/mqtt/properties.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

// MQTT5 table 2-4, for properties.cpp.
namespace iotcore::broker::mqtt::property_table {

using P = Property;
using T = PropertyType;

template <typename... Scopes>
constexpr std::uint16_t in(Scopes... scopes) {
  return static_cast<std::uint16_t>(((1U << static_cast<unsigned>(scopes)) | ...));
}

inline constexpr auto kWill = PropertyScope::kWill;
inline constexpr auto kConnect = scope_of(PacketType::kConnect);
inline constexpr auto kConnack = scope_of(PacketType::kConnack);
inline constexpr auto kPublish = scope_of(PacketType::kPublish);
inline constexpr auto kSubscribe = scope_of(PacketType::kSubscribe);
inline constexpr auto kUnsubscribe = scope_of(PacketType::kUnsubscribe);
inline constexpr auto kDisconnect = scope_of(PacketType::kDisconnect);
inline constexpr auto kAuth = scope_of(PacketType::kAuth);

// Everything that answers something.
inline constexpr std::uint16_t kAnswers =
    in(kConnack,
       scope_of(PacketType::kPuback),
       scope_of(PacketType::kPubrec),
       scope_of(PacketType::kPubrel),
       scope_of(PacketType::kPubcomp),
       scope_of(PacketType::kSuback),
       scope_of(PacketType::kUnsuback),
       kDisconnect,
       kAuth);
inline constexpr std::uint16_t kEverywhere =
    static_cast<std::uint16_t>(kAnswers | in(kWill, kConnect, kPublish, kSubscribe, kUnsubscribe));

constexpr std::array<PropertyInfo, kPropertyIdEnd> make_table() {
  std::array<PropertyInfo, kPropertyIdEnd> table{};
  std::uint8_t numbers = 0;
  std::uint8_t texts = 0;
  const auto text = [&](P id, std::string_view name, T type, std::uint16_t scopes) {
    PropertyInfo& info = table[static_cast<std::size_t>(id)];
    info.name = name;
    info.type = type;
    info.scopes = scopes;
    info.slot = texts++;
  };
  const auto number = [&](P id,
                          std::string_view name,
                          T type,
                          std::uint16_t scopes,
                          std::uint32_t min = 0,
                          std::uint32_t max = 0xFFFFFFFF) {
    PropertyInfo& info = table[static_cast<std::size_t>(id)];
    info.name = name;
    info.type = type;
    info.scopes = scopes;
    info.value_min = min;
    info.value_max = max;
    info.slot = numbers++;
  };
  number(
      P::kPayloadFormatIndicator, "payload_format_indicator", T::kByte, in(kPublish, kWill), 0, 1
  );
  number(
      P::kMessageExpiryInterval, "message_expiry_interval", T::kFourByteInteger, in(kPublish, kWill)
  );
  text(P::kContentType, "content_type", T::kText, in(kPublish, kWill));
  text(P::kResponseTopic, "response_topic", T::kText, in(kPublish, kWill));
  text(P::kCorrelationData, "correlation_data", T::kBinary, in(kPublish, kWill));
  number(
      P::kSubscriptionIdentifier,
      "subscription_identifier",
      T::kVariableByteInteger,
      in(kPublish, kSubscribe),
      1,
      kVariableByteIntegerMax
  );
  number(
      P::kSessionExpiryInterval,
      "session_expiry_interval",
      T::kFourByteInteger,
      in(kConnect, kConnack, kDisconnect)
  );
  text(P::kAssignedClientIdentifier, "assigned_client_identifier", T::kText, in(kConnack));
  number(P::kServerKeepAlive, "server_keep_alive", T::kTwoByteInteger, in(kConnack));
  text(P::kAuthenticationMethod, "authentication_method", T::kText, in(kConnect, kConnack, kAuth));
  text(P::kAuthenticationData, "authentication_data", T::kBinary, in(kConnect, kConnack, kAuth));
  number(
      P::kRequestProblemInformation, "request_problem_information", T::kByte, in(kConnect), 0, 1
  );
  number(P::kWillDelayInterval, "will_delay_interval", T::kFourByteInteger, in(kWill));
  number(
      P::kRequestResponseInformation, "request_response_information", T::kByte, in(kConnect), 0, 1
  );
  text(P::kResponseInformation, "response_information", T::kText, in(kConnack));
  text(P::kServerReference, "server_reference", T::kText, in(kConnack, kDisconnect));
  text(P::kReasonString, "reason_string", T::kText, kAnswers);
  number(P::kReceiveMaximum, "receive_maximum", T::kTwoByteInteger, in(kConnect, kConnack), 1);
  number(P::kTopicAliasMaximum, "topic_alias_maximum", T::kTwoByteInteger, in(kConnect, kConnack));
  number(P::kTopicAlias, "topic_alias", T::kTwoByteInteger, in(kPublish), 1);
  number(P::kMaximumQos, "maximum_qos", T::kByte, in(kConnack), 0, 1);
  number(P::kRetainAvailable, "retain_available", T::kByte, in(kConnack), 0, 1);
  number(
      P::kMaximumPacketSize, "maximum_packet_size", T::kFourByteInteger, in(kConnect, kConnack), 1
  );
  number(
      P::kWildcardSubscriptionAvailable,
      "wildcard_subscription_available",
      T::kByte,
      in(kConnack),
      0,
      1
  );
  number(
      P::kSubscriptionIdentifierAvailable,
      "subscription_identifier_available",
      T::kByte,
      in(kConnack),
      0,
      1
  );
  number(
      P::kSharedSubscriptionAvailable, "shared_subscription_available", T::kByte, in(kConnack), 0, 1
  );
  table[static_cast<std::size_t>(P::kTopicAlias)].out_of_range = Errc::kTopicAliasInvalid;
  // A server may name several subscriptions in one PUBLISH (MQTT5 3.3.2.3.8).
  table[static_cast<std::size_t>(P::kSubscriptionIdentifier)].repeatable = in(kPublish);
  PropertyInfo& user = table[static_cast<std::size_t>(P::kUserProperty)];
  user.name = "user_property";
  user.type = T::kTextPair;
  user.scopes = kEverywhere;
  user.repeatable = kEverywhere;
  return table;
}

inline constexpr auto kTable = make_table();

}  // namespace iotcore::broker::mqtt::property_table
