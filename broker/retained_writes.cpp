#include "broker/retained_writes.h"

#include "broker/retained.h"
#include "broker/worker_broker.h"

#include <string>

namespace iotcore::broker {

void write_retained(WorkerBroker& worker, std::string_view topic, PendingAck::Hold hold) {
  Broker& broker = worker.shared();
  const WorkerId owner = broker.workers().owner_of(topic);
  if (owner == worker.id()) {
    broker.retained().write(topic, worker.turn().durable_rows(std::move(hold)));
    return;
  }
  WorkerBroker& there = broker.workers().broker(owner);
  there.executor().post([&there, topic = std::string(topic), hold = std::move(hold)]() mutable {
    there.shared().retained().write(topic, there.turn().durable_rows(std::move(hold)));
  });
}

}  // namespace iotcore::broker
