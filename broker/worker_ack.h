#pragma once

#include "broker/publish_context.h"
#include "broker/worker_broker.h"

#include <memory>
#include <optional>
#include <utility>

namespace iotcore::broker {

// What is finished on its worker's thread, wherever the last of its holds goes; without being finished where the worker has gone. Made with new, and
// deletes itself. Derived has `void finish(std::optional<Errc> failure)`.
template <typename Derived>
class WorkerAck : public PendingAck {
 protected:
  explicit WorkerAck(WorkerBroker& worker)
      : PendingAck(&WorkerAck::on_complete), worker_(&worker), lifeline_(worker.lifeline()) {}

  ~WorkerAck() = default;

  // For finish.
  WorkerBroker& worker() { return *worker_; }

 private:
  static void on_complete(PendingAck& self, std::optional<Errc> failure) {
    std::unique_ptr<Derived> ack(static_cast<Derived*>(&self));
    const WorkerAck& base = *ack;
    if (WorkerBroker::current() == base.worker_) {
      ack->finish(failure);
      return;
    }
    const std::shared_ptr<WorkerLifeline> lifeline = base.lifeline_;
    lifeline->post([own = std::move(ack), failure] { own->finish(failure); });
  }

  WorkerBroker* worker_;                      // looked at only on its thread: a hold may outlive it
  std::shared_ptr<WorkerLifeline> lifeline_;  // the worker's
};

}  // namespace iotcore::broker
