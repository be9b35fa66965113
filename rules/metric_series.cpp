#include "rules/metric_series.h"

#include <fmt/format.h>

#include <atomic>

namespace iotcore::rules {

struct MetricSeries::Series {
  std::atomic<double> value = 0;
  std::atomic<double> count = 0;
  std::atomic<double> sum = 0;
};

Status MetricSeries::observe(const Name& name, double value) {
  const std::lock_guard lock(mutex_);
  auto found = series_.find(name);
  if (found == series_.end()) {
    if (series_.size() >= kSeriesMax) {
      return fail(
          Errc::kLimitExceeded, fmt::format("there are {} series of metrics already", kSeriesMax)
      );
    }
    const auto series = std::make_shared<Series>();
    const MetricLabels labels = {
        {"namespace", name.space}, {"metric", name.metric}, {"unit", name.unit}};
    metrics_.gauge_from(
        "iotcore_cloudwatch_value",
        "The last value of a cloudwatchMetric action",
        labels,
        [series] { return series->value.load(); }
    );
    metrics_.gauge_from(
        "iotcore_cloudwatch_count",
        "Values of a cloudwatchMetric action since the start",
        labels,
        [series] { return series->count.load(); }
    );
    metrics_.gauge_from(
        "iotcore_cloudwatch_sum",
        "Sum of the values of a cloudwatchMetric action since the start",
        labels,
        [series] { return series->sum.load(); }
    );
    found = series_.emplace(name, series).first;
  }
  Series& series = *found->second;
  series.value = value;
  series.count = series.count + 1;
  series.sum = series.sum + value;
  return {};
}

}  // namespace iotcore::rules
