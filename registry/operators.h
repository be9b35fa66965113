#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "broker/authorizer.h"
#include "registry/access_keys.h"
#include "registry/grants.h"
#include "registry/options.h"
#include "registry/session_tokens.h"

#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace iotcore::registry {

// Who signed a request.
struct Operator {
  std::string access_key_id;
  std::string resource;                  // "user/<name>" or "role/<name>"
  std::string session_name;              // of temporary credentials
  bool administrator = false;            // may do everything
  std::optional<WallTime> expires = {};  // of temporary credentials and bearer tokens
};

// Of a WebSocket that an operator has signed for.
class OperatorPeer final : public broker::AuthenticatedPeer {
 public:
  explicit OperatorPeer(Operator signed_by) : who(std::move(signed_by)) {}

  const Operator who;
};

// Who operators are, by what they show, and what they may do, by their role and the policies that are attached to them. Thread-safe.
class Operators {
 public:
  Operators(
      const AccessKeys& keys,
      const SessionTokens& tokens,
      GrantReader& grants,
      const Clock& clock,
      const Options& options
  )
      : keys_(keys), tokens_(tokens), grants_(grants), clock_(clock), options_(options) {}

  struct SigningKey {
    Operator who;
    std::string secret;
  };

  // With what the signature of this key is to be checked. A session token counts only beside a temporary key. Never blocks. kUnrecognizedClient,
  // kExpiredToken.
  Result<SigningKey> find(std::string_view access_key_id, std::string_view session_token) const;
  // Never blocks. Errors as above.
  Result<Operator> find_bearer(std::string_view token) const;

  // Whether each of the resources (ARNs) is allowed. kAccessDenied. Blocking.
  Status allows(
      const Operator& who,
      std::string_view source_ip,
      std::string_view action,
      std::span<const std::string> resources
  );

 private:
  using Compiled = GrantReader::Compiled;

  Result<Compiled> policies_of(const Operator& who);

  const AccessKeys& keys_;
  const SessionTokens& tokens_;
  GrantReader& grants_;
  const Clock& clock_;
  const Options& options_;
  std::mutex mutex_;
  // Keeps what was last compiled for each of them, of whom there are few, so that the next request finds it compiled.
  std::map<std::string, Compiled, std::less<>> last_;
};

}  // namespace iotcore::registry
