#include "shadow/owner_metrics.h"

#include <algorithm>
#include <string>

namespace iotcore::shadow {

OwnerMetrics::OwnerMetrics(Metrics& metrics)
    : cached(metrics.gauge("iotcore_shadows_cached", "Shadows in memory")),
      cached_bytes(metrics.gauge("iotcore_shadow_cache_bytes", "Memory of the shadows in memory")),
      loading(metrics.gauge("iotcore_shadows_loading", "Shadows that are being read from the store")
      ),
      waiting_bytes(metrics.gauge(
          "iotcore_shadow_waiting_bytes", "Shadow requests and answers that wait for the store"
      )),
      stale(metrics.gauge(
          "iotcore_shadows_stale", "Shadows whose devices have not reported for too long"
      )),
      overdue(metrics.gauge(
          "iotcore_shadows_overdue",
          "Shadows whose devices have not reached what is desired for too long"
      )) {
  for (std::size_t operation = 0; operation < kOperationCount; ++operation) {
    for (std::size_t code = 0; code < kCodes.size(); ++code) {
      requests_[operation][code] = &metrics.counter(
          "iotcore_shadow_requests_total",
          "Shadow requests by what they came to",
          {{"operation", std::string(kOperationNames[operation])},
           {"code", std::to_string(kCodes[code])}}
      );
    }
  }
}

void OwnerMetrics::count(Operation operation, std::optional<Errc> refused) {
  const int code = refused ? errc_info(*refused).http_status : 200;
  const auto found = std::find(kCodes.begin(), kCodes.end() - 1, code);
  requests_[static_cast<std::size_t>(operation)][static_cast<std::size_t>(found - kCodes.begin())]
      ->add();
}

}  // namespace iotcore::shadow
