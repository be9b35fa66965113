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
      aside(metrics.gauge(
          "iotcore_sink_aside_records",
          "Records, of those waiting, that failed where others did not and are tried by themselves",
          label(sink)
      )),
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

void QueueMetrics::show_oldest(
    Metrics& metrics,
    const std::string& sink,
    std::shared_ptr<const std::atomic<std::int64_t>> oldest_ms,
    const Clock& clock
) {
  metrics.gauge_from(
      "iotcore_sink_oldest_seconds",
      "Age of the record that has waited longest",
      label(sink),
      [oldest_ms = std::move(oldest_ms), &clock] {
        const std::int64_t since = oldest_ms->load();
        return since == 0 ? 0.0 : static_cast<double>(to_epoch_ms(clock.wall()) - since) / 1000;
      }
  );
}

}  // namespace iotcore::rules
