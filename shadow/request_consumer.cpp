#include "shadow/request_consumer.h"

#include "broker/worker_broker.h"

#include <utility>

namespace iotcore::shadow {

RequestConsumer::RequestConsumer(
    broker::Workers& workers, std::span<const std::unique_ptr<Owner>> owners
)
    : workers_(workers), owners_(owners), outboxes_(workers.count()) {
  for (Outbox& outbox : outboxes_) {
    outbox.batches.resize(workers.count());
  }
}

void RequestConsumer::on_message(broker::PublishContext& context) {
  // A will is for those who subscribe, and changes nothing.
  if (context.publish().origin == broker::Origin::kWill) {
    return;
  }
  const broker::Message::Ref& message = context.message();
  const auto topic = parse_request_topic(message->view().topic);
  if (!topic) {
    return;
  }
  const WorkerId worker = context.worker().id();
  const WorkerId owner = workers_.owner_of(topic->thing);
  Outbox& outbox = outboxes_[index(worker)];
  outbox.batches[index(owner)].push_back(
      {.message = message, .topic = *topic, .hold = context.hold()}
  );
  if (!std::exchange(outbox.scheduled, true)) {
    // Not from inside the publish: an answer is one, too. It runs in this turn if a socket brought the publish, else in the next.
    workers_.executor(worker).post([this, worker] { flush(worker); });
  }
}

void RequestConsumer::flush(WorkerId worker) {
  Outbox& outbox = outboxes_[index(worker)];
  outbox.scheduled = false;
  for (std::size_t i = 0; i < outbox.batches.size(); ++i) {
    if (outbox.batches[i].empty()) {
      continue;
    }
    std::vector<Request> batch = std::exchange(outbox.batches[i], {});
    if (i == index(worker)) {
      owners_[i]->serve(std::move(batch));
    } else {
      workers_.executor(static_cast<WorkerId>(i))
          .post([&owner = *owners_[i], batch = std::move(batch)]() mutable {
            owner.serve(std::move(batch));
          });
    }
  }
}

}  // namespace iotcore::shadow
