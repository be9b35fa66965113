#include "broker/mqtt/reason.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace iotcore::broker::mqtt {
namespace {

constexpr std::uint32_t from_server(PacketType type) {
  return std::uint32_t{1} << static_cast<unsigned>(type);
}

constexpr std::uint32_t from_client(PacketType type) {
  return from_server(type) << 16U;
}

constexpr std::uint32_t from_both(PacketType type) {
  return from_server(type) | from_client(type);
}

constexpr std::uint32_t kConnack = from_server(PacketType::kConnack);
// PUBACK and PUBREC have the same codes, so have PUBREL and PUBCOMP.
constexpr std::uint32_t kReceived = from_both(PacketType::kPuback) | from_both(PacketType::kPubrec);
constexpr std::uint32_t kReleased =
    from_both(PacketType::kPubrel) | from_both(PacketType::kPubcomp);
constexpr std::uint32_t kSuback = from_server(PacketType::kSuback);
constexpr std::uint32_t kUnsuback = from_server(PacketType::kUnsuback);
constexpr std::uint32_t kSubacks = kSuback | kUnsuback;
constexpr std::uint32_t kDisconnect = from_both(PacketType::kDisconnect);
constexpr std::uint32_t kDisconnectServer = from_server(PacketType::kDisconnect);
constexpr std::uint32_t kDisconnectClient = from_client(PacketType::kDisconnect);
constexpr std::uint32_t kAuthServer = from_server(PacketType::kAuth);
constexpr std::uint32_t kAuthClient = from_client(PacketType::kAuth);

struct Row {
  Reason reason;
  std::string_view name;
  std::uint32_t where;  // low half: packets of the server, high half: of the client
};

constexpr std::array kTable = {
    Row{Reason::kSuccess,
        "success",
        kConnack | kReceived | kReleased | kSubacks | kDisconnect | kAuthServer},
    Row{Reason::kGrantedQos1, "granted_qos_1", kSuback},
    Row{Reason::kGrantedQos2, "granted_qos_2", kSuback},
    Row{Reason::kDisconnectWithWill, "disconnect_with_will", kDisconnectClient},
    Row{Reason::kNoMatchingSubscribers, "no_matching_subscribers", kReceived},
    Row{Reason::kNoSubscriptionExisted, "no_subscription_existed", kUnsuback},
    Row{Reason::kContinueAuthentication, "continue_authentication", kAuthServer | kAuthClient},
    Row{Reason::kReauthenticate, "reauthenticate", kAuthClient},
    Row{Reason::kUnspecifiedError,
        "unspecified_error",
        kConnack | kReceived | kSubacks | kDisconnect},
    Row{Reason::kMalformedPacket, "malformed_packet", kConnack | kDisconnect},
    Row{Reason::kProtocolError, "protocol_error", kConnack | kDisconnect},
    Row{Reason::kImplementationSpecificError,
        "implementation_specific_error",
        kConnack | kReceived | kSubacks | kDisconnect},
    Row{Reason::kUnsupportedProtocolVersion, "unsupported_protocol_version", kConnack},
    Row{Reason::kClientIdNotValid, "client_id_not_valid", kConnack},
    Row{Reason::kBadUserNameOrPassword, "bad_user_name_or_password", kConnack},
    Row{Reason::kNotAuthorized,
        "not_authorized",
        kConnack | kReceived | kSubacks | kDisconnectServer},
    Row{Reason::kServerUnavailable, "server_unavailable", kConnack},
    Row{Reason::kServerBusy, "server_busy", kConnack | kDisconnectServer},
    Row{Reason::kBanned, "banned", kConnack},
    Row{Reason::kServerShuttingDown, "server_shutting_down", kDisconnectServer},
    Row{Reason::kBadAuthenticationMethod,
        "bad_authentication_method",
        kConnack | kDisconnectServer},
    Row{Reason::kKeepAliveTimeout, "keep_alive_timeout", kDisconnectServer},
    Row{Reason::kSessionTakenOver, "session_taken_over", kDisconnectServer},
    Row{Reason::kTopicFilterInvalid, "topic_filter_invalid", kSubacks | kDisconnectServer},
    Row{Reason::kTopicNameInvalid, "topic_name_invalid", kConnack | kReceived | kDisconnect},
    Row{Reason::kPacketIdInUse, "packet_id_in_use", kReceived | kSubacks},
    Row{Reason::kPacketIdNotFound, "packet_id_not_found", kReleased},
    Row{Reason::kReceiveMaximumExceeded, "receive_maximum_exceeded", kDisconnect},
    Row{Reason::kTopicAliasInvalid, "topic_alias_invalid", kDisconnect},
    Row{Reason::kPacketTooLarge, "packet_too_large", kConnack | kDisconnect},
    Row{Reason::kMessageRateTooHigh, "message_rate_too_high", kDisconnect},
    Row{Reason::kQuotaExceeded, "quota_exceeded", kConnack | kReceived | kSuback | kDisconnect},
    Row{Reason::kAdministrativeAction, "administrative_action", kDisconnect},
    Row{Reason::kPayloadFormatInvalid,
        "payload_format_invalid",
        kConnack | kReceived | kDisconnect},
    Row{Reason::kRetainNotSupported, "retain_not_supported", kConnack | kDisconnectServer},
    Row{Reason::kQosNotSupported, "qos_not_supported", kConnack | kDisconnectServer},
    Row{Reason::kUseAnotherServer, "use_another_server", kConnack | kDisconnectServer},
    Row{Reason::kServerMoved, "server_moved", kConnack | kDisconnectServer},
    Row{Reason::kSharedSubscriptionsNotSupported,
        "shared_subscriptions_not_supported",
        kSuback | kDisconnectServer},
    Row{Reason::kConnectionRateExceeded, "connection_rate_exceeded", kConnack | kDisconnectServer},
    Row{Reason::kMaximumConnectTime, "maximum_connect_time", kDisconnectServer},
    Row{Reason::kSubscriptionIdsNotSupported,
        "subscription_ids_not_supported",
        kSuback | kDisconnectServer},
    Row{Reason::kWildcardSubscriptionsNotSupported,
        "wildcard_subscriptions_not_supported",
        kSuback | kDisconnectServer},
};

const Row* find_row(Reason reason) {
  const auto* const row = std::find_if(kTable.begin(), kTable.end(), [reason](const Row& r) {
    return r.reason == reason;
  });
  return row == kTable.end() ? nullptr : row;
}

constexpr std::array<Reason, 6> kV3Connack = {
    Reason::kSuccess,
    Reason::kUnsupportedProtocolVersion,
    Reason::kClientIdNotValid,
    Reason::kServerUnavailable,
    Reason::kBadUserNameOrPassword,
    Reason::kNotAuthorized,
};

}  // namespace

std::string_view reason_name(Reason reason) {
  const Row* const row = find_row(reason);
  return row == nullptr ? "unknown" : row->name;
}

bool is_reason_allowed(Reason reason, PacketType type, Sender sender) {
  const Row* const row = find_row(reason);
  const std::uint32_t where = sender == Sender::kServer ? from_server(type) : from_client(type);
  return row != nullptr && (row->where & where) != 0;
}

std::optional<std::uint8_t> v3_connack_code(Reason reason) {
  switch (reason) {
    case Reason::kSuccess:
      return std::uint8_t{0};
    case Reason::kUnsupportedProtocolVersion:
      return std::uint8_t{1};
    case Reason::kClientIdNotValid:
      return std::uint8_t{2};
    case Reason::kServerUnavailable:
    case Reason::kServerBusy:
    case Reason::kQuotaExceeded:
    case Reason::kConnectionRateExceeded:
    case Reason::kUseAnotherServer:
    case Reason::kServerMoved:
      return std::uint8_t{3};
    case Reason::kBadUserNameOrPassword:
      return std::uint8_t{4};
    case Reason::kNotAuthorized:
    case Reason::kBanned:
    case Reason::kBadAuthenticationMethod:
      return std::uint8_t{5};
    default:
      return std::nullopt;
  }
}

std::optional<Reason> reason_of_v3_connack(std::uint8_t code) {
  return code < kV3Connack.size() ? std::optional(kV3Connack[code]) : std::nullopt;
}

}  // namespace iotcore::broker::mqtt
