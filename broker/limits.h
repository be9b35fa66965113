#pragma once

#include "base/ids.h"
#include "base/metrics.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace iotcore::broker {

// What a client may run into. Each has a configuration key of about that name.
enum class Limit : std::uint8_t {
  kPayload,
  kContentType,
  kCorrelationData,
  kUserProperties,
  kTopic,
  kClientPacket,
  kPublishRate,
  kPublishByteRate,
  kConnectRate,
  kConnectRateOfClient,
  kFiltersPerSubscribe,
  kSubscriptions,
  kSharedGroups,
  kStoredRate,
  kReceiveMaximum,
  kRetained,
  kMemory,
  kCount_,
};

// How often each limit was reached on one worker.
class LimitCounters {
 public:
  LimitCounters(Metrics& metrics, WorkerId worker);

  void reached(Limit limit) { counters_[static_cast<std::size_t>(limit)]->add(); }

 private:
  std::array<Counter*, static_cast<std::size_t>(Limit::kCount_)> counters_;
};

}  // namespace iotcore::broker
