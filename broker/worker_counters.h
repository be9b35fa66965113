#pragma once

#include "base/ids.h"
#include "base/metrics.h"

namespace iotcore::broker {

// What one worker counts: messages by what became of them, connections, sessions.
struct WorkerCounters {
  WorkerCounters(Metrics& metrics, WorkerId worker);

  Counter& received;
  Counter& delivered;
  Counter& dropped_queue_full;
  Counter& dropped_slow;
  Counter& dropped_mailbox;
  Counter& dropped_denied;
  Counter& dropped_too_large;
  Counter& dropped_expired;
  Counter& dropped_hops;
  Counter& connects;
  Counter& connects_refused;
  Counter& sessions_resumed;
  Counter& sessions_expired;
};

}  // namespace iotcore::broker
