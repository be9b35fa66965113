#pragma once

#include "base/errc.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace iotcore::broker::mqtt {

enum class PacketType : std::uint8_t {
  kConnect = 1,
  kConnack = 2,
  kPublish = 3,
  kPuback = 4,
  kPubrec = 5,
  kPubrel = 6,
  kPubcomp = 7,
  kSubscribe = 8,
  kSuback = 9,
  kUnsubscribe = 10,
  kUnsuback = 11,
  kPingreq = 12,
  kPingresp = 13,
  kDisconnect = 14,
  kAuth = 15,
};

// Who wrote the bytes that are being read.
enum class Sender : std::uint8_t { kClient, kServer };

// MQTT5 2.4. The zero is also "normal disconnection" and "granted QoS 0".
enum class Reason : std::uint8_t {
  kSuccess = 0x00,
  kGrantedQos1 = 0x01,
  kGrantedQos2 = 0x02,
  kDisconnectWithWill = 0x04,
  kNoMatchingSubscribers = 0x10,
  kNoSubscriptionExisted = 0x11,
  kContinueAuthentication = 0x18,
  kReauthenticate = 0x19,
  kUnspecifiedError = 0x80,
  kMalformedPacket = 0x81,
  kProtocolError = 0x82,
  kImplementationSpecificError = 0x83,
  kUnsupportedProtocolVersion = 0x84,
  kClientIdNotValid = 0x85,
  kBadUserNameOrPassword = 0x86,
  kNotAuthorized = 0x87,
  kServerUnavailable = 0x88,
  kServerBusy = 0x89,
  kBanned = 0x8A,
  kServerShuttingDown = 0x8B,
  kBadAuthenticationMethod = 0x8C,
  kKeepAliveTimeout = 0x8D,
  kSessionTakenOver = 0x8E,
  kTopicFilterInvalid = 0x8F,
  kTopicNameInvalid = 0x90,
  kPacketIdInUse = 0x91,
  kPacketIdNotFound = 0x92,
  kReceiveMaximumExceeded = 0x93,
  kTopicAliasInvalid = 0x94,
  kPacketTooLarge = 0x95,
  kMessageRateTooHigh = 0x96,
  kQuotaExceeded = 0x97,
  kAdministrativeAction = 0x98,
  kPayloadFormatInvalid = 0x99,
  kRetainNotSupported = 0x9A,
  kQosNotSupported = 0x9B,
  kUseAnotherServer = 0x9C,
  kServerMoved = 0x9D,
  kSharedSubscriptionsNotSupported = 0x9E,
  kConnectionRateExceeded = 0x9F,
  kMaximumConnectTime = 0xA0,
  kSubscriptionIdsNotSupported = 0xA1,
  kWildcardSubscriptionsNotSupported = 0xA2,
};

inline bool is_error(Reason reason) {
  return static_cast<std::uint8_t>(reason) >= 0x80;
}

inline Reason reason_of(Errc code) {
  return static_cast<Reason>(errc_info(code).mqtt_reason);
}

// snake_case, for logs and metric labels; "unknown" for a number that MQTT5 does not define.
std::string_view reason_name(Reason reason);

// Whether MQTT5 lets this sender put the code into this packet (tables 3-1, 3-4 to 3-10 and 3-13).
bool is_reason_allowed(Reason reason, PacketType type, Sender sender);

// MQTT3 3.2.2.3: the CONNACK return code 0..5, or nothing where 3.1.1 has no code and the server
// just closes.
std::optional<std::uint8_t> v3_connack_code(Reason reason);

// The reverse; nothing for the reserved codes 6..255.
std::optional<Reason> reason_of_v3_connack(std::uint8_t code);

}  // namespace iotcore::broker::mqtt
