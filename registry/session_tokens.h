#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "proto/record/principals.pb.h"
#include "registry/pki/sealing_key.h"

#include <chrono>
#include <string>
#include <string_view>

namespace iotcore::registry {

// Credentials for a while: access keys with a session token, and bearer tokens. Nothing of them is kept: what there is to know is in the token, sealed.
// Never blocks; any thread.
class SessionTokens {
 public:
  SessionTokens(const Clock& clock, const pki::SealingKey& sealing_key)
      : clock_(clock), sealing_key_(sealing_key) {}

  struct Temporary {
    std::string access_key_id;  // "ASIA…"
    std::string secret;
    std::string session_token;
    std::int64_t expires_ms = 0;
  };

  // `principal`: whose policies hold, "user/<name>" or "role/<name>".
  Temporary issue(
      std::string_view principal, std::string_view session_name, std::chrono::seconds duration
  ) const;
  // kUnrecognizedClient if it is not ours or another key's, kExpiredToken.
  Result<record::TemporaryCredentials> open(
      std::string_view access_key_id, std::string_view session_token
  ) const;

  struct Bearer {
    std::string token;
    std::int64_t expires_ms = 0;
  };

  Bearer issue_bearer(std::string_view access_key_id, std::chrono::seconds duration) const;
  // The id of the key with whose rights it speaks. Errors as above.
  Result<std::string> open_bearer(std::string_view token) const;

 private:
  const Clock& clock_;
  const pki::SealingKey& sealing_key_;
};

}  // namespace iotcore::registry
