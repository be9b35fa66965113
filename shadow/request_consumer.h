#pragma once

#include "broker/broker.h"
#include "broker/publish_context.h"
#include "shadow/owner.h"
#include "shadow/request.h"

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

namespace iotcore::shadow {

// Takes the requests that are published on the topics of shadows to the owners of their things: one batch per worker and turn.
class RequestConsumer final : public broker::MessageConsumer {
 public:
  // `owners`: by worker.
  RequestConsumer(broker::Workers& workers, std::span<const std::unique_ptr<Owner>> owners);

  void on_message(broker::PublishContext& context) override;

 private:
  // Of one worker, and touched by it alone.
  struct alignas(64) Outbox {
    std::vector<std::vector<Request>> batches;  // by owner
    bool scheduled = false;
  };

  void flush(WorkerId worker);

  broker::Workers& workers_;
  std::span<const std::unique_ptr<Owner>> owners_;
  std::vector<Outbox> outboxes_;
};

}  // namespace iotcore::shadow
