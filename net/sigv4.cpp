#include "net/sigv4.h"

#include "base/crypto.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace iotcore::net {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
constexpr std::string_view kTerminator = "aws4_request";
constexpr std::string_view kUnsignedPayload = "UNSIGNED-PAYLOAD";
constexpr std::chrono::seconds kExpiryMax = std::chrono::hours(24 * 7);

enum class TokenInQuery : std::uint8_t { kLeftOut, kKept };

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') {
      c = static_cast<char>(c + ('a' - 'A'));
    }
  }
  return out;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> out;
  while (true) {
    const std::size_t end = text.find(separator);
    out.push_back(text.substr(0, end));
    if (end == std::string_view::npos) {
      return out;
    }
    text.remove_prefix(end + 1);
  }
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) {
    text.remove_prefix(1);
  }
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) {
    text.remove_suffix(1);
  }
  return text;
}

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

std::optional<int> digits(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.front() == '-') {
    return std::nullopt;
  }
  return value;
}

// YYYYMMDDTHHMMSSZ
std::optional<WallTime> parse_timestamp(std::string_view text) {
  if (text.size() != 16 || text[8] != 'T' || text[15] != 'Z') {
    return std::nullopt;
  }
  const auto year = digits(text.substr(0, 4));
  const auto month = digits(text.substr(4, 2));
  const auto day = digits(text.substr(6, 2));
  const auto hour = digits(text.substr(9, 2));
  const auto minute = digits(text.substr(11, 2));
  const auto second = digits(text.substr(13, 2));
  if (!year || !month || !day || !hour || !minute || !second || *year < 1970 || *year > 2200 ||
      *hour > 23 || *minute > 59 || *second > 60) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date(
      std::chrono::year(*year),
      std::chrono::month(static_cast<unsigned>(*month)),
      std::chrono::day(static_cast<unsigned>(*day))
  );
  if (!date.ok()) {
    return std::nullopt;
  }
  return WallTime(std::chrono::sys_days(date)) + std::chrono::hours(*hour) +
         std::chrono::minutes(*minute) + std::chrono::seconds(*second);
}

std::string to_timestamp(WallTime time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const auto since_midnight = std::chrono::floor<std::chrono::seconds>(time - day).count();
  return fmt::format(
      "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
      static_cast<int>(date.year()),
      static_cast<unsigned>(date.month()),
      static_cast<unsigned>(date.day()),
      since_midnight / 3600,
      since_midnight / 60 % 60,
      since_midnight % 60
  );
}

// The raw path without empty and dot segments, each segment encoded once more.
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
      canonical_path(target.path),
      canonical_query(target.query, token),
      canonical_headers(request.headers, claim.signed_headers),
      joined(claim.signed_headers),
      payload_hash(request)
  );
  const CredentialScope& scope = claim.scope;
  const std::string to_sign = fmt::format(
      "{}\n{}\n{}/{}/{}/{}\n{}",
      kAlgorithm,
      claim.timestamp,
      scope.date,
      scope.region,
      scope.service,
      kTerminator,
      to_hex(as_text(sha256(canonical)))
  );
  Sha256 key = hmac_sha256("AWS4" + std::string(secret), scope.date);
  key = hmac_sha256(as_text(key), scope.region);
  key = hmac_sha256(as_text(key), scope.service);
  key = hmac_sha256(as_text(key), kTerminator);
  return to_hex(as_text(hmac_sha256(as_text(key), to_sign)));
}

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
  if (parts.size() != 5 || parts[0].empty() || parts[4] != kTerminator) {
    return incomplete(
        "Credential must have exactly 5 slash-delimited elements, e.g. "
        "keyid/date/region/service/aws4_request."
    );
  }
  claim.access_key_id = parts[0];
  claim.scope = {std::string(parts[1]), std::string(parts[2]), std::string(parts[3])};

  const auto signed_at = parse_timestamp(raw.timestamp);
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
    claim.signed_headers.push_back(lower(name));
  }
  if (std::find(claim.signed_headers.begin(), claim.signed_headers.end(), "host") ==
      claim.signed_headers.end()) {
    return incomplete("'Host' must be a 'SignedHeader' in the AWS Authorization.");
  }
  if (raw.signature.size() != 64 || !from_hex(raw.signature)) {
    return incomplete("Signature must be 64 hexadecimal digits.");
  }
  claim.signature = lower(raw.signature);
  return claim;
}

Result<SigV4Claim> parse_header(const HttpRequest& request, std::string_view authorization) {
  RawClaim raw;
  for (const std::string_view part : split(authorization.substr(kAlgorithm.size()), ',')) {
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
    const auto seconds = digits(expires);
    if (!seconds || std::chrono::seconds(*seconds) > kExpiryMax) {
      return incomplete("X-Amz-Expires must be a number of seconds of at most a week.");
    }
    claim.expires_in = std::chrono::seconds(*seconds);
  }
  return check_form(raw, std::move(claim));
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
            to_timestamp(now + rules.clock_skew),
            to_timestamp(now),
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
            to_timestamp(now - lifetime),
            to_timestamp(now),
            minutes_text(lifetime)
        )
    );
  }
  return {};
}

Status check_payload_hash(const HttpRequest& request, const SigV4Rules& rules) {
  const std::string* given = request.headers.find("x-amz-content-sha256");
  if (given == nullptr || (*given == kUnsignedPayload && rules.unsigned_payload_allowed) ||
      lower(*given) == to_hex(as_text(sha256(request.body)))) {
    return {};
  }
  return fail(
      Errc::kInvalidSignature,
      "The provided 'x-amz-content-sha256' header does not match what was computed."
  );
}

}  // namespace

Result<std::optional<SigV4Claim>> parse_sigv4(const HttpRequest& request) {
  if (const std::string* authorization = request.headers.find("authorization");
      authorization != nullptr && authorization->starts_with(kAlgorithm)) {
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
        return parameter.name == "X-Amz-Algorithm" && parameter.value == kAlgorithm;
      });
  if (!is_signed) {
    return std::optional<SigV4Claim>();
  }
  IOTCORE_ASSIGN(SigV4Claim claim, parse_query_claim(*parameters));
  return std::optional<SigV4Claim>(std::move(claim));
}

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
  IOTCORE_TRY(check_payload_hash(request, rules));
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
  claim.timestamp = to_timestamp(now);
  claim.scope = {claim.timestamp.substr(0, 8), target.region, target.service};
  request.headers.set("x-amz-date", claim.timestamp);
  if (!credentials.session_token.empty()) {
    request.headers.set("x-amz-security-token", credentials.session_token);
  }
  for (const auto& [name, value] : request.headers) {
    std::string lower_name = lower(name);
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
          kAlgorithm,
          credentials.access_key_id,
          claim.scope.date,
          target.region,
          target.service,
          kTerminator,
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
  claim.timestamp = to_timestamp(now);
  claim.scope = {claim.timestamp.substr(0, 8), target.region, target.service};
  claim.signed_headers = {"host"};
  const std::string credential = fmt::format(
      "{}/{}/{}/{}/{}",
      credentials.access_key_id,
      claim.scope.date,
      target.region,
      target.service,
      kTerminator
  );
  std::string& out = request.target;
  out += out.find('?') == std::string::npos ? '?' : '&';
  out += fmt::format(
      "X-Amz-Algorithm={}&X-Amz-Credential={}&X-Amz-Date={}",
      kAlgorithm,
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
