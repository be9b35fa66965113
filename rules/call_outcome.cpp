#include "rules/call_outcome.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace iotcore::rules {
namespace {

constexpr std::size_t kRetriedBytesMax = 16'384;

}  // namespace

Outcome outcome_of(const Result<net::HttpResponse>& response) {
  if (!response) {
    const Errc code = response.error().code();
    return code == Errc::kForbidden || code == Errc::kInvalidRequest
               ? Outcome::permanent(response.error().message())
               : Outcome::retry(response.error().message());
  }
  if (response->status >= 200 && response->status < 300) {
    return {};
  }
  std::string reason = fmt::format("answered {}", response->status);
  const bool again = response->status == 408 || response->status == 429 || response->status >= 500;
  if (!again || response->body.size() > kRetriedBytesMax) {
    return Outcome::permanent(std::move(reason));
  }
  Duration after{0};
  if (const std::string* given = response->headers.find("retry-after")) {
    constexpr int kMostS = 3600;
    int seconds = 0;
    std::from_chars(given->data(), given->data() + given->size(), seconds);
    after = std::chrono::seconds(std::clamp(seconds, 0, kMostS));
  }
  return Outcome::retry(std::move(reason), after);
}

}  // namespace iotcore::rules
