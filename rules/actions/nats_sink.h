#pragma once

#include "rules/actions/target_options.h"
#include "rules/sink.h"

#include <chrono>
#include <memory>
#include <nats/nats.h>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace iotcore::rules::actions {

// A target of kind `nats`.
struct NatsOptions {
  ServerOptions server;
  std::string token;
  std::string credentials;  // the path of a .creds file
  bool jetstream = false;   // what actions do that do not say
  std::chrono::milliseconds timeout{0};
};

NatsOptions read_nats(MemberReader& members);

struct NatsMessage {
  std::string subject;
  std::vector<std::pair<std::string, std::string>> headers;
  bool jetstream = false;  // whether a stream has to acknowledge it
};

// What the sinks that publish to NATS have in common: a batch is sent at once, and waited for once. With JetStream a record is delivered when its
// stream has acknowledged it; Nats-Msg-Id is its deliveryId, so that the stream drops what it has already (for its duplicate window, 2 min by default).
// Without, when the server has got it: whoever listens at that moment gets it.
class NatsSink : public Sink {
 public:
  NatsSink(TargetRef target, const Targets& targets)
      : target_(std::move(target)), targets_(targets) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override;
  Status probe() override;

 protected:
  // An error is this record's only, and permanent. `jetstream`: of the target.
  virtual Result<NatsMessage> message_of(const Record& record, bool jetstream) = 0;

 private:
  template <auto Destroy>
  struct DestroyWith {
    template <typename T>
    void operator()(T* object) const {
      Destroy(object);
    }
  };

  using Connection = std::unique_ptr<natsConnection, DestroyWith<natsConnection_Destroy>>;
  using Subscription = std::unique_ptr<natsSubscription, DestroyWith<natsSubscription_Destroy>>;
  using Message = std::unique_ptr<natsMsg, DestroyWith<natsMsg_Destroy>>;

  // What of a batch is on its way.
  struct Batch {
    std::span<const Record* const> records;
    std::span<Outcome> outcomes;
    std::vector<std::string> subjects;
    std::vector<bool> waits;  // for its stream
    std::size_t waiting = 0;
  };

  Status ensure_open();
  Status connect(const NatsOptions& options);
  Status publish_all(Batch& batch);
  Result<Message> make(const Record& record, const NatsMessage& message, std::size_t index) const;
  Status take_acknowledgements(Batch& batch);
  void take_acknowledgement(Batch& batch, natsMsg* message) const;
  Status check_permissions(Batch& batch);

  const TargetRef target_;
  const Targets& targets_;
  Connection connection_;
  Subscription replies_;
  std::string inbox_;
  bool jetstream_ = false;
  std::chrono::milliseconds timeout_{0};
  std::uint64_t round_ = 0;  // of batches, so that late answers are told from others
};

// What is wrong with it as a subject to publish to.
Status check_nats_subject(std::string_view subject);

}  // namespace iotcore::rules::actions
