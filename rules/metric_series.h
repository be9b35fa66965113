#pragma once

#include "base/metrics.h"
#include "base/result.h"

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace iotcore::rules {

// What cloudwatchMetric actions observe, shown on /metrics: iotcore_cloudwatch_value, _count and _sum by namespace, metric and unit. Begins anew with the
// process, as counters do; what was is in the time-series store. Any thread.
class MetricSeries {
 public:
  static constexpr std::size_t kSeriesMax = 10'000;

  explicit MetricSeries(Metrics& metrics) : metrics_(metrics) {}

  struct Name {
    std::string space;
    std::string metric;
    std::string unit;

    friend auto operator<=>(const Name&, const Name&) = default;
  };

  // kLimitExceeded: it would be one series too many.
  Status observe(const Name& name, double value);

 private:
  struct Series;

  Metrics& metrics_;
  std::mutex mutex_;                                // and what follows
  std::map<Name, std::shared_ptr<Series>> series_;  // shared with what is read at each scrape
};

}  // namespace iotcore::rules
