#include "broker/worker_counters.h"

#include <string>

namespace iotcore::broker {
namespace {

MetricLabels labels_of(WorkerId worker) {
  return {{"worker", std::to_string(index(worker))}};
}

Counter& dropped(Metrics& metrics, WorkerId worker, const char* reason) {
  MetricLabels labels = labels_of(worker);
  labels["reason"] = reason;
  return metrics.counter(
      "iotcore_messages_dropped_total", "Messages not delivered to a subscriber", std::move(labels)
  );
}

}  // namespace

WorkerCounters::WorkerCounters(Metrics& metrics, WorkerId worker)
    : received(metrics.counter(
          "iotcore_messages_received_total", "Messages published", labels_of(worker)
      )),
      delivered(metrics.counter(
          "iotcore_messages_delivered_total", "Messages sent to subscribers", labels_of(worker)
      )),
      dropped_queue_full(dropped(metrics, worker, "queue_full")),
      dropped_slow(dropped(metrics, worker, "slow_receiver")),
      dropped_mailbox(dropped(metrics, worker, "mailbox_full")),
      dropped_denied(dropped(metrics, worker, "not_authorized")),
      dropped_too_large(dropped(metrics, worker, "too_large")),
      dropped_expired(dropped(metrics, worker, "expired")),
      dropped_hops(dropped(metrics, worker, "republish_loop")),
      connects(
          metrics.counter("iotcore_connects_total", "MQTT connections accepted", labels_of(worker))
      ),
      connects_refused(metrics.counter(
          "iotcore_connects_refused_total", "MQTT connections refused", labels_of(worker)
      )),
      sessions_resumed(metrics.counter(
          "iotcore_sessions_resumed_total",
          "Connections that found their session",
          labels_of(worker)
      )),
      sessions_expired(metrics.counter(
          "iotcore_sessions_expired_total",
          "Sessions ended because their time was over",
          labels_of(worker)
      )) {}

}  // namespace iotcore::broker
