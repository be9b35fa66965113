#pragma once

#include "broker/link.h"

#include <cstdint>
#include <string_view>
#include <vector>

namespace iotcore::broker {

class WorkerBroker;

// What the events of one client say about it (mqtt.md 10).
struct LifecycleSubject {
  std::string_view client_id;
  std::string_view thing_name;  // only with an exclusive thing attachment
  std::string_view principal;
  std::string_view source_ip;
  std::uint64_t version_number = 0;  // which names the session as well
};

// Each publishes at QoS 0 on `$aws/events/…`, later in this turn; nothing if nobody listens, and nothing for client ids with `#` or `+`.
void publish_connected(WorkerBroker& worker, const LifecycleSubject& subject);
void publish_disconnected(
    WorkerBroker& worker, const LifecycleSubject& subject, CloseReason reason
);
void publish_connect_failed(WorkerBroker& worker, const LifecycleSubject& subject);
void publish_subscriptions(
    WorkerBroker& worker,
    const LifecycleSubject& subject,
    bool subscribed,
    const std::vector<std::string_view>& filters
);

}  // namespace iotcore::broker
