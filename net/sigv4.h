#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "net/http_message.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// AWS Signature Version 4, both sides, in the Authorization header or in the query. Pure: time and
// secrets come as arguments.
namespace iotcore::net {

struct CredentialScope {
  std::string date;  // YYYYMMDD
  std::string region;
  std::string service;
};

// A signature as it came: its form is right, its truth is not yet known.
struct SigV4Claim {
  enum class Place : std::uint8_t { kHeader, kQuery };

  Place place = Place::kHeader;
  std::string access_key_id;
  CredentialScope scope;
  std::string timestamp;  // YYYYMMDDTHHMMSSZ
  WallTime signed_at;
  std::vector<std::string> signed_headers;         // lower case, in the order given
  std::string signature;                           // lower-case hex
  std::string security_token;                      // of temporary credentials; may be empty
  std::optional<std::chrono::seconds> expires_in;  // of query signatures
};

// Nothing when the request bears no such signature (another scheme included); an error when it
// tries and fails.
Result<std::optional<SigV4Claim>> parse_sigv4(const HttpRequest& request);

struct SigV4Rules {
  std::string_view region = {};                     // that the scope must name; empty: any
  std::span<const std::string_view> services = {};  // of which the scope must name one; empty: any
  std::chrono::seconds clock_skew = std::chrono::minutes(5);
  // Of a query signature without X-Amz-Expires.
  std::chrono::seconds default_expiry = std::chrono::minutes(5);
};

// Whether the claim was made with that secret, over this request, in time.
Status verify_sigv4(
    const HttpRequest& request,
    const SigV4Claim& claim,
    std::string_view secret,
    WallTime now,
    const SigV4Rules& rules = {}
);

// The answers that need no request: no signature at all, and an access key that nobody has.
Error missing_authentication();
Error unrecognized_client();

struct SigV4Credentials {
  std::string access_key_id;
  std::string secret;
  std::string session_token;
};

struct SigV4Target {
  std::string region;
  std::string service;
};

// Adds x-amz-date, x-amz-security-token and authorization; signs host, content-type and all x-amz
// headers. The request must have its Host header.
void sign(
    HttpRequest& request,
    const SigV4Credentials& credentials,
    const SigV4Target& target,
    WallTime now
);

struct PresignOptions {
  std::optional<std::chrono::seconds> expires_in = std::chrono::seconds(86400);
  // WebSocket clients of AWS IoT append the token after signing; generic signers sign it.
  bool token_signed = false;
};

// Adds the signature to the query of the target; signs the host only.
void presign(
    HttpRequest& request,
    const SigV4Credentials& credentials,
    const SigV4Target& target,
    WallTime now,
    const PresignOptions& options = {}
);

}  // namespace iotcore::net
