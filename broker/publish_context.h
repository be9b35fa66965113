#pragma once

#include "base/errc.h"
#include "broker/message.h"

#include <atomic>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

namespace iotcore::store {
class Batch;
}

namespace iotcore::broker {

class WorkerBroker;

// Who publishes, for rules, logs and No Local. The views outlive the call they are passed to.
struct Publisher {
  std::string_view client_id;  // empty: not over MQTT
  std::string_view principal;
  std::string_view source_ip;
  const void* session = nullptr;
  // QoS 2 from a persistent session: the key of the row that keeps the packet identifier, written in one commit with what the publish leaves.
  std::string_view receipt = {};
};

// The acknowledgement of one publish (PUBACK, HTTP 200), held back until everything it promises is durable. Each holder
// keeps a Hold; the last one to go, on whatever thread, has the acknowledgement sent by the publisher's worker. A hold that goes without a word
// has kept nothing: only what was released promises success.
class PendingAck {
 public:
  // Called once, on any thread, when the last hold is gone; `failure` is why the first holder that failed did. Owns itself: deletes or recycles.
  using Complete = void (*)(PendingAck& self, std::optional<Errc> failure);

  class Hold {
   public:
    Hold() = default;

    Hold(Hold&& other) noexcept : ack_(std::exchange(other.ack_, nullptr)) {}

    Hold& operator=(Hold&& other) noexcept {
      if (this != &other) {
        drop();
        ack_ = std::exchange(other.ack_, nullptr);
      }
      return *this;
    }

    // Dropped with a queue, a store or a worker that has stopped.
    ~Hold() { drop(); }

    explicit operator bool() const { return ack_ != nullptr; }

    // What was promised can't be kept: the publisher gets no positive acknowledgement, whatever follows.
    void fail(Errc why = Errc::kInternal) {
      if (ack_ != nullptr) {
        std::uint8_t none = kNoFailure;
        ack_->failure_.compare_exchange_strong(
            none, static_cast<std::uint8_t>(why), std::memory_order_relaxed
        );
      }
    }

    // This holder's part is kept.
    void release() {
      if (PendingAck* ack = std::exchange(ack_, nullptr); ack != nullptr) {
        ack->drop();
      }
    }

   private:
    friend class PendingAck;

    explicit Hold(PendingAck* ack) : ack_(ack) {}

    void drop() {
      fail(Errc::kUnavailable);
      release();
    }

    PendingAck* ack_ = nullptr;
  };

  explicit PendingAck(Complete complete) : complete_(complete) {}

  Hold hold() {
    holds_.fetch_add(1, std::memory_order_relaxed);
    return Hold(this);
  }

 protected:
  ~PendingAck() = default;

 private:
  static constexpr auto kNoFailure = static_cast<std::uint8_t>(Errc::kCount_);

  void drop() {
    if (holds_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      const std::uint8_t failure = failure_.load(std::memory_order_relaxed);
      complete_(
          *this, failure == kNoFailure ? std::nullopt : std::optional(static_cast<Errc>(failure))
      );
    }
  }

  Complete complete_;
  std::atomic<std::uint32_t> holds_ = 0;
  std::atomic<std::uint8_t> failure_ = kNoFailure;
};

// One publish on its way through the broker, as consumers see it. On the publisher's worker, for the length of the call.
class PublishContext {
 public:
  PublishContext(WorkerBroker& worker, const Publisher& publisher, const PublishView& publish)
      : worker_(worker), publisher_(publisher), publish_(publish) {}

  virtual ~PublishContext() = default;
  PublishContext(const PublishContext&) = delete;
  PublishContext& operator=(const PublishContext&) = delete;

  WorkerBroker& worker() { return worker_; }

  const Publisher& publisher() const { return publisher_; }

  const PublishView& publish() const { return publish_; }

  // The publish as a shared message, built on first need.
  const Message::Ref& message() {
    if (!message_) {
      message_ = Message::make(publish_);
    }
    return message_;
  }

  // Holds back the acknowledgement. An empty Hold if nobody waits for one (QoS 0).
  virtual PendingAck::Hold hold() = 0;

  // The worker's batch of this turn, committed at its end. Whoever adds to it because of this publish calls this each time: the
  // acknowledgement then waits for that commit.
  virtual store::Batch& durable_batch() = 0;

 protected:
  WorkerBroker& worker_;
  const Publisher& publisher_;
  const PublishView& publish_;
  Message::Ref message_;
};

// Something inside the server that wants messages: rules, shadows, jobs, the live tail. Called on the publisher's worker, by any of them at
// once. It must not block and not publish from inside the call: it posts, or uses WorkerBroker::publish_later.
class MessageConsumer {
 public:
  virtual ~MessageConsumer() = default;
  virtual void on_message(PublishContext& context) = 0;
};

}  // namespace iotcore::broker
