#include "broker/limits.h"

#include <string>

namespace iotcore::broker {
namespace {

constexpr std::array<const char*, static_cast<std::size_t>(Limit::kCount_)> kNames = {
    "payload",
    "content_type",
    "correlation_data",
    "user_properties",
    "topic",
    "client_packet",
    "publish_rate",
    "publish_byte_rate",
    "connect_rate",
    "connect_rate_of_client",
    "filters_per_subscribe",
    "subscriptions",
    "shared_groups",
    "stored_rate",
    "receive_maximum",
    "retained",
    "memory",
};

}  // namespace

LimitCounters::LimitCounters(Metrics& metrics, WorkerId worker) : counters_() {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    counters_[i] = &metrics.counter(
        "iotcore_limits_reached_total",
        "Requests of clients that were refused, dropped or slowed down at a limit",
        {{"limit", kNames[i]}, {"worker", std::to_string(index(worker))}}
    );
  }
}

}  // namespace iotcore::broker
