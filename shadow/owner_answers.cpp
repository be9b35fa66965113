// The part of Owner that publishes answers.
#include "broker/worker_broker.h"
#include "shadow/owner.h"

#include <utility>

namespace iotcore::shadow {
namespace {

// Lets a requester wait for the publishes of its answer, if anybody wants them kept.
class AnswerAcks final : public broker::AckSource {
 public:
  explicit AnswerAcks(broker::PendingAck::Hold requester) : requester_(std::move(requester)) {}

  ~AnswerAcks() {
    requester_.release();
    own_.release();
  }

  AnswerAcks(const AnswerAcks&) = delete;
  AnswerAcks& operator=(const AnswerAcks&) = delete;

  broker::PendingAck& make() override {
    if (kept_ == nullptr) {
      kept_ = new Kept(std::move(requester_));
      own_ = kept_->hold();
    }
    return *kept_;
  }

 private:
  // The requester's hold goes when all publishes are kept.
  class Kept final : public broker::PendingAck {
   public:
    explicit Kept(Hold requester)
        : PendingAck(&Kept::on_complete), requester_(std::move(requester)) {}

   private:
    static void on_complete(PendingAck& self, std::optional<Errc> failure) {
      auto& kept = static_cast<Kept&>(self);
      if (failure) {
        kept.requester_.fail(*failure);
      }
      kept.requester_.release();
      delete &kept;
    }

    Hold requester_;
  };

  broker::PendingAck::Hold requester_;
  Kept* kept_ = nullptr;
  broker::PendingAck::Hold own_;  // until all have been asked
};

}  // namespace

void Owner::send(Answer answer) {
  const Request& request = answer.request;
  const Operation operation = request.topic.operation;
  metrics_.count(operation, answer.body ? std::nullopt : std::optional(answer.body.error().code()));
  const bool from_api = request.call != nullptr;
  // Holds back what waits for this request until the end of this function at least.
  broker::PendingAck::Hold hold = std::move(answer.request.hold);
  const bool awaited = static_cast<bool>(hold);
  AnswerAcks acks(std::move(hold));
  broker::AckSource* const ack_source = awaited ? &acks : nullptr;
  if (!answer.body) {
    if (!from_api) {
      publish(
          request,
          "/rejected",
          document::error_body(answer.body.error(), answer.client_token),
          ack_source
      );
    }
  } else if (!from_api || operation != Operation::kGet) {
    publish(request, "/accepted", *answer.body, ack_source);
    if (operation == Operation::kUpdate) {
      publish(request, "/documents", answer.documents, ack_source);
      if (answer.delta) {
        publish(request, "/delta", *answer.delta, ack_source);
      }
    }
  }
  if (from_api) {
    request.call->set_answer(std::move(answer.body));
  }
}

bool Owner::has_receivers(const Request& request, std::string_view suffix) {
  topic_.assign(request.message->view().topic).append(suffix);
  return worker().has_receivers(topic_);
}

void Owner::publish(
    const Request& request, std::string_view suffix, std::string_view body, broker::AckSource* acks
) {
  if (body.empty()) {
    return;
  }
  topic_.assign(request.message->view().topic).append(suffix);
  broker::PublishView view;
  view.topic = topic_;
  view.payload = body;
  view.qos = broker::Qos::kAtLeastOnce;
  view.origin = broker::Origin::kService;
  view.hops = request.message->view().hops;
  worker().publish({}, view, acks);
}

}  // namespace iotcore::shadow
