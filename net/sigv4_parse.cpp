#include "base/crypto.h"
#include "base/text.h"
#include "net/sigv4.h"
#include "net/sigv4_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace iotcore::net {
namespace {

constexpr std::chrono::seconds kExpiryMax = std::chrono::hours(24 * 7);

// The parts of a signature before they are checked; absent ones are empty.
struct RawClaim {
  std::string credential;
  std::string timestamp;
  std::string signed_headers;
  std::string signature;
};

tl::unexpected<Error> incomplete(std::string message) {
  return fail(Errc::kIncompleteSignature, std::move(message));
}

Result<SigV4Claim> check_form(const RawClaim& raw, SigV4Claim claim) {
  const std::vector<std::string_view> parts = split(raw.credential, '/');
  if (parts.size() != 5 || parts[0].empty() || parts[4] != kSigV4Terminator) {
    return incomplete(
        "Credential must have exactly 5 slash-delimited elements, e.g. "
        "keyid/date/region/service/aws4_request."
    );
  }
  claim.access_key_id = parts[0];
  claim.scope = {std::string(parts[1]), std::string(parts[2]), std::string(parts[3])};

  const auto signed_at = parse_amz_date(raw.timestamp);
  if (!signed_at) {
    return incomplete("X-Amz-Date must be in ISO-8601 basic form, e.g. 20260115T120000Z.");
  }
  claim.timestamp = raw.timestamp;
  claim.signed_at = *signed_at;
  if (claim.scope.date != std::string_view(claim.timestamp).substr(0, 8)) {
    return fail(
        Errc::kInvalidSignature,
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP."
    );
  }
  for (const std::string_view name : split(raw.signed_headers, ';')) {
    claim.signed_headers.push_back(to_lower(name));
  }
  if (std::find(claim.signed_headers.begin(), claim.signed_headers.end(), "host") ==
      claim.signed_headers.end()) {
    return incomplete("'Host' must be a 'SignedHeader' in the AWS Authorization.");
  }
  if (raw.signature.size() != 64 || !from_hex(raw.signature)) {
    return incomplete("Signature must be 64 hexadecimal digits.");
  }
  claim.signature = to_lower(raw.signature);
  return claim;
}

Result<SigV4Claim> parse_header(const HttpRequest& request, std::string_view authorization) {
  RawClaim raw;
  for (const std::string_view part : split(authorization.substr(kSigV4Algorithm.size()), ',')) {
    const std::string_view parameter = trimmed(part);
    const std::size_t equals = std::min(parameter.find('='), parameter.size());
    const std::string_view name = parameter.substr(0, equals);
    const std::string_view value = parameter.substr(std::min(equals + 1, parameter.size()));
    if (name == "Credential") {
      raw.credential = value;
    } else if (name == "SignedHeaders") {
      raw.signed_headers = value;
    } else if (name == "Signature") {
      raw.signature = value;
    }
  }
  for (const auto& [name, value] :
       {std::pair<std::string_view, const std::string&>("Credential", raw.credential),
        {"Signature", raw.signature},
        {"SignedHeaders", raw.signed_headers}}) {
    if (value.empty()) {
      return incomplete(fmt::format("Authorization header requires '{}' parameter.", name));
    }
  }
  const std::string* date = request.headers.find("x-amz-date");
  if (date == nullptr) {
    return incomplete("Authorization header requires existence of a 'X-Amz-Date' header.");
  }
  raw.timestamp = *date;

  SigV4Claim claim;
  claim.place = SigV4Claim::Place::kHeader;
  if (const std::string* token = request.headers.find("x-amz-security-token")) {
    claim.security_token = *token;
  }
  IOTCORE_ASSIGN(claim, check_form(raw, std::move(claim)));
  if (!claim.security_token.empty() &&
      std::find(claim.signed_headers.begin(), claim.signed_headers.end(), "x-amz-security-token") ==
          claim.signed_headers.end()) {
    return incomplete("'X-Amz-Security-Token' must be a 'SignedHeader' in the AWS Authorization.");
  }
  return claim;
}

Result<SigV4Claim> parse_query_claim(const std::vector<QueryParameter>& parameters) {
  RawClaim raw;
  SigV4Claim claim;
  claim.place = SigV4Claim::Place::kQuery;
  std::string expires;
  const std::array<std::pair<std::string_view, std::string*>, 6> wanted = {{
      {"X-Amz-Credential", &raw.credential},
      {"X-Amz-Date", &raw.timestamp},
      {"X-Amz-SignedHeaders", &raw.signed_headers},
      {"X-Amz-Signature", &raw.signature},
      {"X-Amz-Security-Token", &claim.security_token},
      {"X-Amz-Expires", &expires},
  }};
  for (const auto& [name, value] : parameters) {
    for (const auto& [wanted_name, slot] : wanted) {
      if (name == wanted_name) {
        *slot = value;
      }
    }
  }
  for (std::size_t i = 0; i < 4; ++i) {
    if (wanted[i].second->empty()) {
      return incomplete(
          fmt::format("AWS query-string parameters must include '{}'.", wanted[i].first)
      );
    }
  }
  if (!expires.empty()) {
    const auto seconds = parse_digits(expires);
    if (!seconds || std::chrono::seconds(*seconds) > kExpiryMax) {
      return incomplete("X-Amz-Expires must be a number of seconds of at most a week.");
    }
    claim.expires_in = std::chrono::seconds(*seconds);
  }
  return check_form(raw, std::move(claim));
}

}  // namespace

Result<std::optional<SigV4Claim>> parse_sigv4(const HttpRequest& request) {
  if (const std::string* authorization = request.headers.find("authorization");
      authorization != nullptr && authorization->starts_with(kSigV4Algorithm)) {
    IOTCORE_ASSIGN(SigV4Claim claim, parse_header(request, *authorization));
    return std::optional<SigV4Claim>(std::move(claim));
  }
  const std::string_view query = split_target(request.target).query;
  if (query.find("X-Amz-") == std::string_view::npos) {
    return std::optional<SigV4Claim>();
  }
  const auto parameters = parse_query(query);
  if (!parameters) {
    return incomplete("The query string holds a malformed percent escape.");
  }
  const bool is_signed =
      std::any_of(parameters->begin(), parameters->end(), [](const QueryParameter& parameter) {
        return parameter.name == "X-Amz-Algorithm" && parameter.value == kSigV4Algorithm;
      });
  if (!is_signed) {
    return std::optional<SigV4Claim>();
  }
  IOTCORE_ASSIGN(SigV4Claim claim, parse_query_claim(*parameters));
  return std::optional<SigV4Claim>(std::move(claim));
}

}  // namespace iotcore::net
