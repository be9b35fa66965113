#include "base/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>

#include "base/check.h"

namespace iotcore {

void Histogram::observe(double seconds) {
  const auto bound = std::lower_bound(kBounds.begin(), kBounds.end(), seconds);
  buckets_[static_cast<std::size_t>(bound - kBounds.begin())].fetch_add(
      1, std::memory_order_relaxed
  );
  sum_us_.fetch_add(static_cast<std::uint64_t>(seconds * 1e6), std::memory_order_relaxed);
}

Metrics::Family& Metrics::family(std::string_view name, std::string_view help, Kind kind) {
  const auto found = families_.find(name);
  if (found != families_.end()) {
    IOTCORE_CHECK(found->second.kind == kind);
    return found->second;
  }
  return families_.emplace(std::string(name), Family{kind, std::string(help), {}}).first->second;
}

Counter& Metrics::counter(std::string_view name, std::string_view help, MetricLabels labels) {
  const std::lock_guard lock(mutex_);
  Counter& counter = counters_.emplace_back();
  Cell cell;
  cell.labels = std::move(labels);
  cell.counter = &counter;
  family(name, help, Kind::kCounter).cells.push_back(std::move(cell));
  return counter;
}

Gauge& Metrics::gauge(std::string_view name, std::string_view help, MetricLabels labels) {
  const std::lock_guard lock(mutex_);
  Gauge& gauge = gauges_.emplace_back();
  Cell cell;
  cell.labels = std::move(labels);
  cell.gauge = &gauge;
  family(name, help, Kind::kGauge).cells.push_back(std::move(cell));
  return gauge;
}

Histogram& Metrics::histogram(std::string_view name, std::string_view help, MetricLabels labels) {
  const std::lock_guard lock(mutex_);
  Histogram& histogram = histograms_.emplace_back();
  Cell cell;
  cell.labels = std::move(labels);
  cell.histogram = &histogram;
  family(name, help, Kind::kHistogram).cells.push_back(std::move(cell));
  return histogram;
}

void Metrics::gauge_from(
    std::string_view name, std::string_view help, MetricLabels labels, Function<double()> read
) {
  const std::lock_guard lock(mutex_);
  Cell cell;
  cell.labels = std::move(labels);
  cell.read = std::move(read);
  family(name, help, Kind::kGauge).cells.push_back(std::move(cell));
}

std::string Metrics::to_text() {
  const std::lock_guard lock(mutex_);
  std::vector<prometheus::MetricFamily> out;
  for (auto& [name, family] : families_) {
    prometheus::MetricFamily& text = out.emplace_back();
    text.name = name;
    text.help = family.help;
    text.type = family.kind == Kind::kCounter ? prometheus::MetricType::Counter
                : family.kind == Kind::kGauge ? prometheus::MetricType::Gauge
                                              : prometheus::MetricType::Histogram;
    std::map<MetricLabels, prometheus::ClientMetric> sums;
    for (Cell& cell : family.cells) {
      prometheus::ClientMetric& sum = sums[cell.labels];
      if (cell.counter != nullptr) {
        sum.counter.value += static_cast<double>(cell.counter->value());
      } else if (cell.gauge != nullptr) {
        sum.gauge.value += static_cast<double>(cell.gauge->value());
      } else if (cell.read) {
        sum.gauge.value += cell.read();
      } else {
        auto& buckets = sum.histogram.bucket;
        buckets.resize(Histogram::kBounds.size() + 1);
        std::uint64_t cumulative = 0;
        for (std::size_t i = 0; i < buckets.size(); ++i) {
          cumulative += cell.histogram->buckets_[i].load(std::memory_order_relaxed);
          buckets[i].upper_bound = i < Histogram::kBounds.size()
                                       ? Histogram::kBounds[i]
                                       : std::numeric_limits<double>::infinity();
          buckets[i].cumulative_count += cumulative;
        }
        sum.histogram.sample_count += cumulative;
        sum.histogram.sample_sum +=
            static_cast<double>(cell.histogram->sum_us_.load(std::memory_order_relaxed)) / 1e6;
      }
    }
    for (auto& [labels, metric] : sums) {
      for (const auto& [key, value] : labels) {
        metric.label.push_back({key, value});
      }
      text.metric.push_back(std::move(metric));
    }
  }
  return prometheus::TextSerializer().Serialize(out);
}

}  // namespace iotcore
