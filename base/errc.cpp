#include "base/errc.h"

#include <array>
#include <cstddef>

namespace iotcore {
namespace {

struct Row {
  Errc code;
  ErrcInfo info;
};

constexpr std::array kTable = {
    Row{Errc::kInvalidRequest, {"invalid_request", 0x83, 400, "InvalidRequest"}},
    Row{Errc::kMalformedJson, {"malformed_json", 0x83, 400, "InvalidRequest"}},
    Row{Errc::kMalformedPolicy, {"malformed_policy", 0x83, 400, "MalformedPolicy"}},
    Row{Errc::kSqlParse, {"sql_parse", 0x83, 400, "SqlParse"}},
    Row{Errc::kCertificateValidation,
        {"certificate_validation", 0x83, 400, "CertificateValidation"}},
    Row{Errc::kRegistrationCodeValidation,
        {"registration_code_validation", 0x83, 400, "RegistrationCodeValidation"}},
    Row{Errc::kResourceRegistrationFailure,
        {"resource_registration_failure", 0x83, 400, "ResourceRegistrationFailure"}},
    Row{Errc::kInvalidQuery, {"invalid_query", 0x83, 400, "InvalidQuery"}},
    Row{Errc::kIndexNotReady, {"index_not_ready", 0x83, 400, "IndexNotReady"}},
    Row{Errc::kUnauthorized, {"unauthorized", 0x87, 401, "Unauthorized"}},
    Row{Errc::kInvalidSignature, {"invalid_signature", 0x87, 403, "InvalidSignature"}},
    Row{Errc::kIncompleteSignature, {"incomplete_signature", 0x87, 400, "IncompleteSignature"}},
    Row{Errc::kMissingAuthentication,
        {"missing_authentication", 0x87, 403, "MissingAuthenticationToken"}},
    Row{Errc::kUnrecognizedClient, {"unrecognized_client", 0x87, 403, "UnrecognizedClient"}},
    Row{Errc::kExpiredToken, {"expired_token", 0x87, 403, "ExpiredToken"}},
    Row{Errc::kForbidden, {"forbidden", 0x87, 403, "Forbidden"}},
    Row{Errc::kAccessDenied, {"access_denied", 0x87, 403, "AccessDenied"}},
    Row{Errc::kNotFound, {"not_found", 0x83, 404, "ResourceNotFound"}},
    Row{Errc::kNotConfigured, {"not_configured", 0x83, 404, "NotConfigured"}},
    Row{Errc::kUnknownOperation, {"unknown_operation", 0x83, 404, "UnknownOperation"}},
    Row{Errc::kNotImplemented, {"not_implemented", 0x83, 501, "NotImplemented"}},
    Row{Errc::kMethodNotAllowed, {"method_not_allowed", 0x83, 405, "MethodNotAllowed"}},
    Row{Errc::kCertificateState, {"certificate_state", 0x83, 406, "CertificateState"}},
    Row{Errc::kCertificateConflict, {"certificate_conflict", 0x83, 409, "CertificateConflict"}},
    Row{Errc::kTransferConflict, {"transfer_conflict", 0x83, 409, "TransferConflict"}},
    Row{Errc::kTransferAlreadyCompleted,
        {"transfer_already_completed", 0x83, 410, "TransferAlreadyCompleted"}},
    Row{Errc::kInvalidResponse, {"invalid_response", 0x83, 400, "InvalidResponse"}},
    Row{Errc::kAlreadyExists, {"already_exists", 0x83, 409, "ResourceAlreadyExists"}},
    Row{Errc::kVersionConflict, {"version_conflict", 0x83, 409, "VersionConflict"}},
    Row{Errc::kDeleteConflict, {"delete_conflict", 0x83, 409, "DeleteConflict"}},
    Row{Errc::kConflict, {"conflict", 0x83, 409, "Conflict"}},
    Row{Errc::kConflictingResourceUpdate,
        {"conflicting_resource_update", 0x83, 409, "ConflictingResourceUpdate"}},
    Row{Errc::kInvalidStateTransition,
        {"invalid_state_transition", 0x83, 409, "InvalidStateTransition"}},
    Row{Errc::kVersionsLimitExceeded,
        {"versions_limit_exceeded", 0x83, 409, "VersionsLimitExceeded"}},
    Row{Errc::kLimitExceeded, {"limit_exceeded", 0x97, 410, "LimitExceeded"}},
    Row{Errc::kTooLarge, {"too_large", 0x95, 413, "RequestEntityTooLarge"}},
    Row{Errc::kUnsupportedEncoding,
        {"unsupported_encoding", 0x99, 415, "UnsupportedDocumentEncoding"}},
    Row{Errc::kThrottled, {"throttled", 0x97, 429, "Throttling"}},
    Row{Errc::kTimeout, {"timeout", 0x88, 504, "GatewayTimeout"}},
    Row{Errc::kUnavailable, {"unavailable", 0x88, 503, "ServiceUnavailable"}},
    Row{Errc::kInternal, {"internal", 0x80, 500, "InternalFailure"}},
    Row{Errc::kRevisionConflict, {"revision_conflict", 0x83, 409, "Conflict"}},
    Row{Errc::kStoreIo, {"store_io", 0x88, 503, "ServiceUnavailable"}},
    Row{Errc::kStoreFull, {"store_full", 0x97, 503, "ServiceUnavailable"}},
    Row{Errc::kStoreCorrupt, {"store_corrupt", 0x80, 500, "InternalFailure"}},
    Row{Errc::kMalformedPacket, {"malformed_packet", 0x81, 400, "InvalidRequest"}},
    Row{Errc::kProtocolError, {"protocol_error", 0x82, 400, "InvalidRequest"}},
    Row{Errc::kUnsupportedProtocolVersion,
        {"unsupported_protocol_version", 0x84, 400, "InvalidRequest"}},
    Row{Errc::kClientIdNotValid, {"client_id_not_valid", 0x85, 400, "InvalidRequest"}},
    Row{Errc::kBadUserNameOrPassword, {"bad_user_name_or_password", 0x86, 401, "Unauthorized"}},
    Row{Errc::kNotAuthorized, {"not_authorized", 0x87, 403, "Forbidden"}},
    Row{Errc::kServerUnavailable, {"server_unavailable", 0x88, 503, "ServiceUnavailable"}},
    Row{Errc::kServerBusy, {"server_busy", 0x89, 503, "ServiceUnavailable"}},
    Row{Errc::kBadAuthenticationMethod, {"bad_authentication_method", 0x8C, 401, "Unauthorized"}},
    Row{Errc::kKeepAliveTimeout, {"keep_alive_timeout", 0x8D, 400, "InvalidRequest"}},
    Row{Errc::kSessionTakenOver, {"session_taken_over", 0x8E, 409, "Conflict"}},
    Row{Errc::kTopicFilterInvalid, {"topic_filter_invalid", 0x8F, 400, "InvalidRequest"}},
    Row{Errc::kTopicNameInvalid, {"topic_name_invalid", 0x90, 400, "InvalidRequest"}},
    Row{Errc::kPacketIdInUse, {"packet_id_in_use", 0x91, 400, "InvalidRequest"}},
    Row{Errc::kReceiveMaximumExceeded, {"receive_maximum_exceeded", 0x93, 400, "InvalidRequest"}},
    Row{Errc::kTopicAliasInvalid, {"topic_alias_invalid", 0x94, 400, "InvalidRequest"}},
    Row{Errc::kPacketTooLarge, {"packet_too_large", 0x95, 413, "RequestEntityTooLarge"}},
    Row{Errc::kQuotaExceeded, {"quota_exceeded", 0x97, 429, "Throttling"}},
    Row{Errc::kPayloadFormatInvalid, {"payload_format_invalid", 0x99, 400, "InvalidRequest"}},
    Row{Errc::kQosNotSupported, {"qos_not_supported", 0x9B, 400, "InvalidRequest"}},
    Row{Errc::kSubscriptionIdsNotSupported,
        {"subscription_ids_not_supported", 0xA1, 400, "InvalidRequest"}},
};

constexpr bool rows_in_order() {
  for (std::size_t i = 0; i < kTable.size(); ++i) {
    if (static_cast<std::size_t>(kTable[i].code) != i) {
      return false;
    }
  }
  return kTable.size() == static_cast<std::size_t>(Errc::kCount_);
}

static_assert(rows_in_order(), "one row per code, in the order of the enumeration");

}  // namespace

const ErrcInfo& errc_info(Errc code) {
  return kTable[static_cast<std::size_t>(code)].info;
}

}  // namespace iotcore
