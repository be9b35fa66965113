#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/function.h"

namespace iotcore {

using MetricLabels = std::map<std::string, std::string>;

// A count that only grows. One thread adds (workers have a cell each, summed when scraped), any thread reads.
class Counter {
 public:
  void add(std::uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  // For the few counters that several threads share.
  void add_shared(std::uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_ = 0;
};

// A value that goes up and down. Any thread.
class Gauge {
 public:
  void add(std::int64_t n) { value_.fetch_add(n, std::memory_order_relaxed); }
  void set(std::int64_t n) { value_.store(n, std::memory_order_relaxed); }
  std::int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_ = 0;
};

// Durations in seconds over fixed bounds, 100 us to 10 s. Any thread.
class Histogram {
 public:
  static constexpr std::array kBounds = {0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03,
                                         0.1,    0.3,    1.0,   3.0,   10.0};
  void observe(double seconds);

 private:
  friend class Metrics;
  std::array<std::atomic<std::uint64_t>, kBounds.size() + 1> buckets_ = {};
  std::atomic<std::uint64_t> sum_us_ = 0;
};

// All metrics of the process. What it hands out lives as long as it does; the registering calls may be made on any thread, and
// never belong on the message path.
class Metrics {
 public:
  // A new cell each time; cells of one name and one set of labels are summed when scraped.
  Counter& counter(std::string_view name, std::string_view help, MetricLabels labels = {});
  Gauge& gauge(std::string_view name, std::string_view help, MetricLabels labels = {});
  Histogram& histogram(std::string_view name, std::string_view help, MetricLabels labels = {});
  // Asked at each scrape, on the scraping thread.
  void gauge_from(
      std::string_view name, std::string_view help, MetricLabels labels, Function<double()> read
  );

  // Prometheus text format 0.0.4.
  std::string to_text();

 private:
  enum class Kind : std::uint8_t { kCounter, kGauge, kHistogram };
  struct Cell {
    MetricLabels labels;
    Counter* counter = nullptr;
    Gauge* gauge = nullptr;
    Histogram* histogram = nullptr;
    Function<double()> read;
  };
  struct Family {
    Kind kind;
    std::string help;
    std::vector<Cell> cells;
  };

  Family& family(std::string_view name, std::string_view help, Kind kind);

  std::mutex mutex_;
  std::map<std::string, Family, std::less<>> families_;
  std::deque<Counter> counters_;
  std::deque<Gauge> gauges_;
  std::deque<Histogram> histograms_;
};

}  // namespace iotcore
