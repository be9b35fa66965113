#pragma once

#include "broker/exactly_once.h"
#include "broker/worker_broker.h"

#include <memory>

namespace iotcore::broker {

// The publish under way.
class WorkerBroker::Context final : public PublishContext {
 public:
  Context(
      WorkerBroker& worker, const Publisher& publisher, const PublishView& publish, AckSource* acks
  )
      : PublishContext(worker, publisher, publish), acks_(acks) {}

  ~Context() override { own_.release(); }

  PendingAck::Hold hold() override {
    if (acks_ == nullptr) {
      return {};
    }
    if (ack_ == nullptr) {
      ack_ = &acks_->make();
      own_ = ack_->hold();
    }
    return ack_->hold();
  }

  store::Batch& durable_batch() override { return worker_.durable_batch(hold()); }

  Message::Ref& message_slot() { return message_; }

  bool deferred() const { return ack_ != nullptr; }

  bool is_awaited() const { return acks_ != nullptr; }

  // Set if rows of several workers are written in one commit.
  std::shared_ptr<ExactlyOnce> exactly_once;

 private:
  AckSource* acks_;
  PendingAck* ack_ = nullptr;
  PendingAck::Hold
      own_;  // so that the acknowledgement does not go before all consumers have been asked
};

}  // namespace iotcore::broker
