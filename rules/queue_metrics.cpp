#include "rules/queue_metrics.h"

namespace iotcore::rules {
namespace {

MetricLabels label(const std::string& sink) {
  return {{"target", sink}};
}

}  // namespace

QueueMetrics::QueueMetrics(Metrics& metrics, const std::string& sink)
    : records(metrics.gauge("iotcore_sink_queue_records", "Records waiting", label(sink))),
      bytes(metrics.gauge("iotcore_sink_queue_bytes", "Bytes of waiting records", label(sink))),
      up(metrics.gauge("iotcore_sink_up", "1: the sink takes records", label(sink))),
      retries(metrics.counter(
          "iotcore_action_retries_total", "Deliveries that will be tried again", label(sink)
      )),
      dropped(metrics.counter(
          "iotcore_sink_dropped_total", "Records dropped because the queue was full", label(sink)
      )),
      batches(metrics.counter("iotcore_sink_batches_total", "Batches given to a sink", label(sink))
      ),
      batch_records(metrics.counter(
          "iotcore_sink_batch_records_total", "Records in the batches given to a sink", label(sink)
      )) {}

}  // namespace iotcore::rules
