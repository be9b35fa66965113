#pragma once

#include "broker/exactly_once.h"
#include "broker/worker_ack.h"
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

  ~Context() override {
    own_.release();
    own_of_others_.release();
  }

  PendingAck::Hold hold() override {
    return others_ != nullptr ? others_->hold() : publishers_hold();
  }

  // From now on what others keep is waited for first.
  void begin_exactly_once() {
    exactly_once = std::make_shared<ExactlyOnce>();
    exactly_once->publisher = publishers_hold();
    exactly_once->expect();
    others_ = new OthersKept(worker_, exactly_once);
    own_of_others_ = others_->hold();
  }

  store::Batch& durable_batch() override { return worker_.turn().durable_rows(hold()); }

  Message::Ref& message_slot() { return message_; }

  bool deferred() const { return ack_ != nullptr; }

  bool is_awaited() const { return acks_ != nullptr; }

  // Set if the rows of this publish are written in one commit of their own.
  std::shared_ptr<ExactlyOnce> exactly_once;

 private:
  // What a QoS 2 publish waits for before it is committed.
  class OthersKept final : public WorkerAck<OthersKept> {
   public:
    OthersKept(WorkerBroker& worker, std::shared_ptr<ExactlyOnce> publish)
        : WorkerAck(worker), publish_(std::move(publish)) {}

    void finish(std::optional<Errc> failure) {
      publish_->failure = failure;
      worker().on_part(publish_, ExactlyOnce::Part());
    }

   private:
    std::shared_ptr<ExactlyOnce> publish_;  // also of the workers that make its parts
  };

  PendingAck::Hold publishers_hold() {
    if (acks_ == nullptr) {
      return {};
    }
    if (ack_ == nullptr) {
      ack_ = &acks_->make();
      own_ = ack_->hold();
    }
    return ack_->hold();
  }

  AckSource* acks_;
  PendingAck* ack_ = nullptr;
  OthersKept* others_ = nullptr;  // deletes itself
  PendingAck::Hold own_of_others_;
  PendingAck::Hold
      own_;  // so that the acknowledgement does not go before all consumers have been asked
};

}  // namespace iotcore::broker
