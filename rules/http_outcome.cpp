#include "rules/http_outcome.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace iotcore::rules {
namespace {

constexpr std::size_t kBodyShown = 200;
constexpr std::int64_t kRetryAfterMaxS = 3600;

// Only as a number of seconds; dates are rare, and the queue's own backoff does.
Duration retry_after(const net::HttpResponse& response) {
  const std::string* text = response.headers.find("retry-after");
  std::int64_t seconds = 0;
  if (text != nullptr) {
    std::from_chars(text->data(), text->data() + text->size(), seconds);
  }
  return std::chrono::seconds(std::clamp<std::int64_t>(seconds, 0, kRetryAfterMaxS));
}

std::string start_of(std::string_view body) {
  std::string shown(body.substr(0, kBodyShown));
  std::ranges::replace_if(
      shown, [](char c) { return static_cast<unsigned char>(c) < ' '; }, ' '
  );
  return shown;
}

}  // namespace

bool is_worth_a_retry(int status) {
  return status == 408 || status == 425 || status == 429 || status >= 500;
}

Outcome outcome_of(const net::HttpResponse& response, std::string_view who) {
  if (response.status / 100 == 2) {
    return {};
  }
  std::string reason =
      who.empty() ? fmt::format("answered {}", response.status)
                  : fmt::format("{}: {} {}", who, response.status, start_of(response.body));
  return is_worth_a_retry(response.status)
             ? Outcome::retry(std::move(reason), retry_after(response))
             : Outcome::permanent(std::move(reason));
}

Outcome outcome_of(const Error& error, std::string_view who) {
  return Outcome::retry(fmt::format("{}: {}", who, error.message()));
}

Outcome outcome_of_call(const Result<net::HttpResponse>& response) {
  constexpr std::size_t kRetriedBytesMax = 16U << 10;
  if (!response) {
    const Errc code = response.error().code();
    return code == Errc::kForbidden || code == Errc::kInvalidRequest
               ? Outcome::permanent(response.error().message())
               : Outcome::retry(response.error().message());
  }
  Outcome outcome = outcome_of(*response, "");
  if (outcome.kind == Outcome::Kind::kRetry && response->body.size() > kRetriedBytesMax) {
    outcome = Outcome::permanent(std::move(outcome.reason));
  }
  return outcome;
}

}  // namespace iotcore::rules
