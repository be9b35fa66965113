#pragma once

#include "rules/destinations.h"
#include "rules/metric_series.h"
#include "rules/queues/message_queues.h"

namespace iotcore::rules {

// What lives in this server behind the built-in targets of AWS's actions, beside files and databases.
struct BuiltIns {
  BuiltIns(
      store::Store& store,
      Metrics& process,
      const Clock& clock,
      Executor& pool,
      MessageQueues::Limits queue_limits,
      Destinations::Options destination_options
  )
      : metrics(process),
        queues(store, clock, queue_limits),
        destinations(store, clock, pool, std::move(destination_options)) {}

  Status load() {
    IOTCORE_TRY(queues.load());
    return destinations.load();
  }

  // Forgets queues and destinations: /_iotcore/reset.
  Status wipe() {
    IOTCORE_TRY(queues.wipe());
    return destinations.wipe();
  }

  MetricSeries metrics;
  MessageQueues queues;
  Destinations destinations;
};

}  // namespace iotcore::rules
