#include "net/sigv4.h"

#include "base/crypto.h"
#include "base/text.h"
#include "net/sigv4_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace iotcore::net {
namespace {

constexpr std::string_view kUnsignedPayload = "UNSIGNED-PAYLOAD";
constexpr std::string_view kStreaming = "STREAMING-";
enum class TokenInQuery : std::uint8_t { kLeftOut, kKept };

std::string with_single_spaces(std::string_view text) {
  std::string out;
  for (const char c : trimmed(text)) {
    const bool space = c == ' ' || c == '\t';
    if (!space) {
      out.push_back(c);
    } else if (out.back() != ' ') {
      out.push_back(' ');
    }
  }
  return out;
}

// The raw path without empty and dot segments, each segment encoded once more. Not for S3, where a key may have such segments, and is encoded once only.
std::string canonical_path(std::string_view path) {
  std::vector<std::string_view> segments;
  for (const std::string_view segment : split(path, '/')) {
    if (segment == "..") {
      if (!segments.empty()) {
        segments.pop_back();
      }
    } else if (!segment.empty() && segment != ".") {
      segments.push_back(segment);
    }
  }
  std::string out;
  for (const std::string_view segment : segments) {
    out += '/';
    out += percent_encode(segment);
  }
  if (segments.empty() || path.ends_with('/')) {
    out += '/';
  }
  return out;
}

// What a name or value of a query stands for: '+' is a space, as botocore writes it. A malformed
// escape stands for itself.
std::string query_text(std::string_view raw) {
  std::string spaced(raw);
  std::replace(spaced.begin(), spaced.end(), '+', ' ');
  return percent_decode(spaced).value_or(std::string(raw));
}

std::string canonical_query(std::string_view query, TokenInQuery token) {
  std::vector<std::pair<std::string, std::string>> parameters;
  for (const std::string_view pair : split(query, '&')) {
    if (pair.empty()) {
      continue;
    }
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const std::string name = query_text(pair.substr(0, equals));
    const std::string value = query_text(pair.substr(std::min(equals + 1, pair.size())));
    if (name == "X-Amz-Signature" ||
        (name == "X-Amz-Security-Token" && token == TokenInQuery::kLeftOut)) {
      continue;
    }
    parameters.emplace_back(percent_encode(name), percent_encode(value));
  }
  std::sort(parameters.begin(), parameters.end());
  std::string out;
  for (const auto& [name, value] : parameters) {
    if (!out.empty()) {
      out += '&';
    }
    out += name;
    out += '=';
    out += value;
  }
  return out;
}

std::string canonical_headers(
    const HttpHeaders& headers, const std::vector<std::string>& signed_headers
) {
  std::string out;
  for (const std::string& name : signed_headers) {
    std::string values;
    bool first = true;
    for (const auto& [field_name, value] : headers) {
      if (equal_ignoring_case(field_name, name)) {
        values += first ? "" : ",";
        values += with_single_spaces(value);
        first = false;
      }
    }
    out += name + ':' + values + '\n';
  }
  return out;
}

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) {
    out += out.empty() ? "" : ";";
    out += name;
  }
  return out;
}

std::string payload_hash(const HttpRequest& request) {
  const std::string* given = request.headers.find("x-amz-content-sha256");
  return given != nullptr ? *given : to_hex(as_text(sha256(request.body)));
}

std::string signature_of(
    const HttpRequest& request, const SigV4Claim& claim, std::string_view secret, TokenInQuery token
) {
  const TargetView target = split_target(request.target);
  const std::string canonical = fmt::format(
      "{}\n{}\n{}\n{}\n{}\n{}",
      request.method,
      claim.scope.service == "s3" ? std::string(target.path) : canonical_path(target.path),
      canonical_query(target.query, token),
      canonical_headers(request.headers, claim.signed_headers),
      joined(claim.signed_headers),
      payload_hash(request)
  );
  const CredentialScope& scope = claim.scope;
  const std::string to_sign = fmt::format(
      "{}\n{}\n{}/{}/{}/{}\n{}",
      kSigV4Algorithm,
      claim.timestamp,
      scope.date,
      scope.region,
      scope.service,
      kSigV4Terminator,
      to_hex(as_text(sha256(canonical)))
  );
  Sha256 key = hmac_sha256("AWS4" + std::string(secret), scope.date);
  key = hmac_sha256(as_text(key), scope.region);
  key = hmac_sha256(as_text(key), scope.service);
  key = hmac_sha256(as_text(key), kSigV4Terminator);
  return to_hex(as_text(hmac_sha256(as_text(key), to_sign)));
}

std::string minutes_text(std::chrono::seconds skew) {
  return fmt::format("{} min.", std::chrono::duration_cast<std::chrono::minutes>(skew).count());
}

Status check_time(const SigV4Claim& claim, WallTime now, const SigV4Rules& rules) {
  if (claim.signed_at > now + rules.clock_skew) {
    return fail(
        Errc::kInvalidSignature,
        fmt::format(
            "Signature not yet current: {} is still later than {} ({} + {})",
            claim.timestamp,
            to_amz_date(now + rules.clock_skew),
            to_amz_date(now),
            minutes_text(rules.clock_skew)
        )
    );
  }
  const std::chrono::seconds lifetime = claim.place == SigV4Claim::Place::kHeader
                                            ? rules.clock_skew
                                            : claim.expires_in.value_or(rules.default_expiry);
  if (claim.signed_at + lifetime < now) {
    return fail(
        Errc::kInvalidSignature,
        fmt::format(
            "Signature expired: {} is now earlier than {} ({} - {})",
            claim.timestamp,
            to_amz_date(now - lifetime),
            to_amz_date(now),
            minutes_text(lifetime)
        )
    );
  }
  return {};
}

// The body counts: neither left out of the signature nor signed in chunks, which are S3's ways.
Status check_payload_hash(const HttpRequest& request) {
  const std::string* given = request.headers.find("x-amz-content-sha256");
  if (given == nullptr) {
    return {};
  }
  if (*given == kUnsignedPayload || given->starts_with(kStreaming)) {
    return fail(
        Errc::kInvalidSignature,
        fmt::format(
            "x-amz-content-sha256: {} is not supported here; sign the payload with its SHA-256.",
            *given == kUnsignedPayload ? kUnsignedPayload : kStreaming
        )
    );
  }
  if (to_lower(*given) == to_hex(as_text(sha256(request.body)))) {
    return {};
  }
  return fail(
      Errc::kInvalidSignature,
      "The provided 'x-amz-content-sha256' header does not match what was computed."
  );
}

}  // namespace

Status verify_sigv4(
    const HttpRequest& request,
    const SigV4Claim& claim,
    std::string_view secret,
    WallTime now,
    const SigV4Rules& rules
) {
  if (!rules.region.empty() && claim.scope.region != rules.region) {
    return fail(
        Errc::kInvalidSignature,
        fmt::format("Credential should be scoped to a valid region, not '{}'.", claim.scope.region)
    );
  }
  if (!rules.services.empty() &&
      std::find(rules.services.begin(), rules.services.end(), claim.scope.service) ==
          rules.services.end()) {
    return fail(
        Errc::kInvalidSignature,
        fmt::format(
            "Credential should be scoped to correct service: '{}'.",
            fmt::join(rules.services, "', '")
        )
    );
  }
  IOTCORE_TRY(check_time(claim, now, rules));
  IOTCORE_TRY(check_payload_hash(request));
  const auto matches = [&](TokenInQuery token) {
    return equal_in_constant_time(signature_of(request, claim, secret, token), claim.signature);
  };
  if (matches(TokenInQuery::kLeftOut)) {
    return {};
  }
  const bool token_in_query =
      claim.place == SigV4Claim::Place::kQuery && !claim.security_token.empty();
  if (token_in_query && matches(TokenInQuery::kKept)) {
    return {};
  }
  return fail(
      Errc::kInvalidSignature,
      "The request signature we calculated does not match the signature you provided. Check your "
      "secret access key and signing method."
  );
}

Error missing_authentication() {
  return {Errc::kMissingAuthentication, "Missing Authentication Token"};
}

Error unrecognized_client() {
  return {Errc::kUnrecognizedClient, "The security token included in the request is invalid."};
}

void sign(
    HttpRequest& request,
    const SigV4Credentials& credentials,
    const SigV4Target& target,
    WallTime now
) {
  SigV4Claim claim;
  claim.timestamp = to_amz_date(now);
  claim.scope = {claim.timestamp.substr(0, 8), target.region, target.service};
  request.headers.set("x-amz-date", claim.timestamp);
  if (!credentials.session_token.empty()) {
    request.headers.set("x-amz-security-token", credentials.session_token);
  }
  for (const auto& [name, value] : request.headers) {
    std::string lower_name = to_lower(name);
    if (lower_name == "host" || lower_name == "content-type" || lower_name.starts_with("x-amz-")) {
      claim.signed_headers.push_back(std::move(lower_name));
    }
  }
  std::sort(claim.signed_headers.begin(), claim.signed_headers.end());
  claim.signed_headers.erase(
      std::unique(claim.signed_headers.begin(), claim.signed_headers.end()),
      claim.signed_headers.end()
  );
  request.headers.set(
      "Authorization",
      fmt::format(
          "{} Credential={}/{}/{}/{}/{}, SignedHeaders={}, Signature={}",
          kSigV4Algorithm,
          credentials.access_key_id,
          claim.scope.date,
          target.region,
          target.service,
          kSigV4Terminator,
          joined(claim.signed_headers),
          signature_of(request, claim, credentials.secret, TokenInQuery::kKept)
      )
  );
}

void presign(
    HttpRequest& request,
    const SigV4Credentials& credentials,
    const SigV4Target& target,
    WallTime now,
    const PresignOptions& options
) {
  SigV4Claim claim;
  claim.timestamp = to_amz_date(now);
  claim.scope = {claim.timestamp.substr(0, 8), target.region, target.service};
  claim.signed_headers = {"host"};
  const std::string credential = fmt::format(
      "{}/{}/{}/{}/{}",
      credentials.access_key_id,
      claim.scope.date,
      target.region,
      target.service,
      kSigV4Terminator
  );
  std::string& out = request.target;
  out += out.find('?') == std::string::npos ? '?' : '&';
  out += fmt::format(
      "X-Amz-Algorithm={}&X-Amz-Credential={}&X-Amz-Date={}",
      kSigV4Algorithm,
      percent_encode(credential),
      claim.timestamp
  );
  if (options.expires_in) {
    out += fmt::format("&X-Amz-Expires={}", options.expires_in->count());
  }
  out += "&X-Amz-SignedHeaders=host";
  const std::string token =
      credentials.session_token.empty()
          ? ""
          : "&X-Amz-Security-Token=" + percent_encode(credentials.session_token);
  if (options.token_signed) {
    out += token;
  }
  const std::string signature =
      signature_of(request, claim, credentials.secret, TokenInQuery::kKept);
  out += "&X-Amz-Signature=" + signature;
  if (!options.token_signed) {
    out += token;
  }
}

}  // namespace iotcore::net
