#pragma once

#include <cstdint>
#include <string_view>

namespace iotcore {

// Every way in which something can go wrong, by its meaning to the one who asked. This table is the
// only place that knows how a meaning is spelled in each protocol: see errc.cpp.
enum class Errc : std::uint8_t {
  kInvalidRequest,
  kMalformedJson,
  kMalformedPolicy,
  kSqlParse,
  kCertificateValidation,
  kRegistrationCodeValidation,
  kResourceRegistrationFailure,
  kInvalidQuery,
  kIndexNotReady,
  kUnauthorized,
  kInvalidSignature,
  kIncompleteSignature,
  kMissingAuthentication,
  kUnrecognizedClient,
  kExpiredToken,
  kForbidden,
  kAccessDenied,
  kNotFound,
  kNotConfigured,
  kUnknownOperation,
  kNotImplemented,
  kMethodNotAllowed,
  kCertificateState,
  kCertificateConflict,
  kTransferConflict,
  kTransferAlreadyCompleted,
  kInvalidResponse,
  kAlreadyExists,
  kVersionConflict,
  kDeleteConflict,
  kConflict,
  kConflictingResourceUpdate,
  kInvalidStateTransition,
  kVersionsLimitExceeded,
  kLimitExceeded,
  kTooLarge,
  kUnsupportedEncoding,
  kThrottled,
  kTimeout,
  kUnavailable,
  kInternal,
  // The store.
  kRevisionConflict,
  kStoreIo,
  kStoreFull,
  kStoreCorrupt,
  // MQTT (the names of MQTT5 2.4).
  kMalformedPacket,
  kProtocolError,
  kUnsupportedProtocolVersion,
  kClientIdNotValid,
  kBadUserNameOrPassword,
  kNotAuthorized,
  kServerUnavailable,
  kServerBusy,
  kBadAuthenticationMethod,
  kKeepAliveTimeout,
  kSessionTakenOver,
  kTopicFilterInvalid,
  kTopicNameInvalid,
  kPacketIdInUse,
  kReceiveMaximumExceeded,
  kTopicAliasInvalid,
  kPacketTooLarge,
  kQuotaExceeded,
  kPayloadFormatInvalid,
  kQosNotSupported,
  kSubscriptionIdsNotSupported,
  kCount_,
};

struct ErrcInfo {
  std::string_view name;       // stable, snake_case: logs and metric labels
  std::uint8_t mqtt_reason;    // MQTT5 2.4
  std::uint16_t http_status;   // control plane; the data plane differs in throttling only
  std::string_view exception;  // AWS error name without the suffix "Exception"
};

const ErrcInfo& errc_info(Errc code);

}  // namespace iotcore
