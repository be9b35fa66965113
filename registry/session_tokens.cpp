#include "registry/session_tokens.h"

#include "base/crypto.h"
#include "registry/access_keys.h"

namespace iotcore::registry {
namespace {

constexpr std::string_view kBearerContext = "bearer";

std::string session_context(std::string_view access_key_id) {
  return std::string("session ").append(access_key_id);
}

tl::unexpected<Error> not_ours() {
  return fail(Errc::kUnrecognizedClient, "The security token included in the request is invalid.");
}

tl::unexpected<Error> expired() {
  return fail(Errc::kExpiredToken, "The security token included in the request is expired");
}

}  // namespace

SessionTokens::Temporary SessionTokens::issue(
    std::string_view principal, std::string_view session_name, std::chrono::seconds duration
) const {
  Temporary made;
  made.access_key_id = AccessKeys::new_id("ASIA");
  made.secret = AccessKeys::new_secret();
  made.expires_ms = to_epoch_ms(clock_.wall() + duration);
  record::TemporaryCredentials content;
  content.set_secret(made.secret);
  content.set_principal(std::string(principal));
  content.set_session_name(std::string(session_name));
  content.set_expires_ms(made.expires_ms);
  made.session_token =
      to_base64(sealing_key_.seal(content.SerializeAsString(), session_context(made.access_key_id))
      );
  return made;
}

Result<record::TemporaryCredentials> SessionTokens::open(
    std::string_view access_key_id, std::string_view session_token
) const {
  const auto sealed = from_base64(session_token);
  const auto content =
      sealed ? sealing_key_.unseal(*sealed, session_context(access_key_id)) : std::nullopt;
  record::TemporaryCredentials record;
  if (!content || !record.ParseFromString(*content)) {
    return not_ours();
  }
  if (to_epoch_ms(clock_.wall()) >= record.expires_ms()) {
    return expired();
  }
  return record;
}

SessionTokens::Bearer SessionTokens::issue_bearer(
    std::string_view access_key_id, std::chrono::seconds duration
) const {
  Bearer made;
  made.expires_ms = to_epoch_ms(clock_.wall() + duration);
  record::BearerToken content;
  content.set_access_key_id(std::string(access_key_id));
  content.set_expires_ms(made.expires_ms);
  made.token = to_base64(sealing_key_.seal(content.SerializeAsString(), kBearerContext));
  return made;
}

Result<std::string> SessionTokens::open_bearer(std::string_view token) const {
  const auto sealed = from_base64(token);
  const auto content = sealed ? sealing_key_.unseal(*sealed, kBearerContext) : std::nullopt;
  record::BearerToken record;
  if (!content || !record.ParseFromString(*content)) {
    return not_ours();
  }
  if (to_epoch_ms(clock_.wall()) >= record.expires_ms()) {
    return expired();
  }
  return record.access_key_id();
}

}  // namespace iotcore::registry
