#pragma once

#include "base/clock.h"
#include "base/metrics.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

namespace iotcore::rules {

// What is counted for one sink.
struct QueueMetrics {
  explicit QueueMetrics(Metrics& metrics, const std::string& sink);
  // `oldest_ms`: when the oldest record that waits was received; 0: none does. The clock outlives the metrics.
  static void show_oldest(
      Metrics& metrics,
      const std::string& sink,
      std::shared_ptr<const std::atomic<std::int64_t>> oldest_ms,
      const Clock& clock
  );

  Gauge& records;
  Gauge& bytes;
  Gauge& aside;
  Gauge& up;
  Counter& retries;
  Counter& dropped;
  Counter& batches;
  Counter& batch_records;
};

}  // namespace iotcore::rules
