#include "rules/in_process_publish.h"

#include "broker/publish_context.h"
#include "broker/worker_broker.h"

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>

namespace iotcore::rules {
namespace {

// Waits until the publishes that it stands for are as durable as they have to be.
class Waiter {
 public:
  explicit Waiter(std::size_t count) : left_(count), ok_(count, false) {}

  void done(std::size_t i, bool ok) {
    const std::lock_guard lock(mutex_);
    ok_[i] = ok;
    --left_;
    changed_.notify_one();
  }

  std::vector<bool> wait(std::chrono::milliseconds most) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, most, [this] { return left_ == 0; });
    return ok_;
  }

 private:
  std::mutex mutex_;  // and what follows
  std::condition_variable changed_;
  std::size_t left_;
  std::vector<bool> ok_;
};

// shared_ptr: the waiter may have given up when the acknowledgement comes.
class WaitingAck final : public broker::PendingAck, public broker::AckSource {
 public:
  WaitingAck(std::shared_ptr<Waiter> waiter, std::size_t i)
      : PendingAck(&WaitingAck::complete), waiter_(std::move(waiter)), i_(i) {}

  PendingAck& make() override { return *this; }

  void done_at_once() {
    waiter_->done(i_, true);
    delete this;
  }

 private:
  ~WaitingAck() override = default;

  static void complete(PendingAck& self, std::optional<Errc> failure) {
    auto& ack = static_cast<WaitingAck&>(self);
    ack.waiter_->done(ack.i_, !failure);
    delete &ack;
  }

  std::shared_ptr<Waiter> waiter_;
  std::size_t i_;
};

}  // namespace

std::vector<bool> publish_and_wait(
    broker::Workers& workers, std::span<const broker::Message::Ref> messages
) {
  const auto waiter = std::make_shared<Waiter>(messages.size());
  for (std::size_t i = 0; i < messages.size(); ++i) {
    // One worker for one topic, so that its messages stay in order.
    const WorkerId worker = workers.owner_of(messages[i]->view().topic);
    workers.executor(worker).post([&workers, worker, waiter, i, message = messages[i]] {
      auto* ack = new WaitingAck(waiter, i);
      const broker::PublishResult result = workers.broker(worker).publish({}, message->view(), ack);
      if (!result.deferred) {
        ack->done_at_once();
      }
    });
  }
  constexpr std::chrono::seconds kMost(10);
  return waiter->wait(kMost);
}

broker::Message::Ref make_service_message(std::string_view topic, std::string_view payload) {
  broker::PublishView publish;
  publish.topic = topic;
  publish.payload = payload;
  publish.qos = broker::Qos::kAtLeastOnce;
  publish.origin = broker::Origin::kService;
  return broker::Message::make(publish);
}

}  // namespace iotcore::rules
