#pragma once

#include "base/metrics.h"
#include "base/result.h"
#include "shadow/topics.h"

#include <array>
#include <cstddef>
#include <optional>

namespace iotcore::shadow {

// What one owner counts.
class OwnerMetrics {
 public:
  explicit OwnerMetrics(Metrics& metrics);

  // One more request of that kind, accepted or refused with `code`.
  void count(Operation operation, std::optional<Errc> refused);

  Gauge& cached;  // shadows
  Gauge& cached_bytes;
  Gauge& loading;  // shadows
  Gauge& waiting_bytes;
  Gauge& stale;    // shadows
  Gauge& overdue;  // shadows

 private:
  // Of HTTP and of …/rejected; the last one stands for all others.
  static constexpr std::array kCodes = {200, 400, 404, 409, 413, 415, 429, 503, 500};

  std::array<std::array<Counter*, kCodes.size()>, kOperationCount> requests_;
};

}  // namespace iotcore::shadow
