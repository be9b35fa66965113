#pragma once

#include "base/metrics.h"

#include <string>

namespace iotcore::rules {

// What is counted for one sink.
struct QueueMetrics {
  explicit QueueMetrics(Metrics& metrics, const std::string& sink);

  Gauge& records;
  Gauge& bytes;
  Gauge& up;
  Counter& retries;
  Counter& dropped;
  Counter& batches;
  Counter& batch_records;
};

}  // namespace iotcore::rules
