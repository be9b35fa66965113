#pragma once

#include "rules/actions/target_options.h"
#include "rules/sink.h"

#include <amqp.h>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace iotcore::rules::actions {

// A target of kind `amqp`.
struct AmqpOptions {
  ServerOptions server;
  std::string vhost;
  std::chrono::milliseconds timeout{0};
};

AmqpOptions read_amqp(MemberReader& members);

struct AmqpMessage {
  std::string exchange;
  std::string routing_key;
  bool persistent = true;
  bool mandatory = true;  // it fails if no queue takes it
  std::vector<std::pair<std::string, std::string>> headers;
};

// What the sinks that publish over AMQP 0-9-1 have in common: a batch is sent at once, and each message is delivered when the broker has confirmed it
// (RabbitMQ: publisher confirms). The message-id is the record's deliveryId, for whoever wants to drop repetitions.
class AmqpSink : public Sink {
 public:
  AmqpSink(TargetRef target, const Targets& targets)
      : target_(std::move(target)), targets_(targets) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override;
  Status probe() override;

 protected:
  // An error is this record's only, and permanent.
  virtual Result<AmqpMessage> message_of(const Record& record) = 0;

 private:
  struct Close {
    void operator()(amqp_connection_state_t state) const { amqp_destroy_connection(state); }
  };

  using Connection = std::unique_ptr<std::remove_pointer_t<amqp_connection_state_t>, Close>;

  // What of a batch is on its way.
  struct Batch {
    std::span<const Record* const> records;
    std::span<Outcome> outcomes;
    std::vector<std::size_t> record_of;  // each message's, in the order of their delivery tags
    std::vector<bool> confirmed;
    std::size_t waiting = 0;
    std::vector<std::string> exchanges;  // each message's
  };

  Status ensure_open();
  Status connect(const AmqpOptions& options);
  Result<amqp_socket_t*> make_socket(
      amqp_connection_state_t state, const TlsOptions& options, const std::string& host
  );
  Status publish_all(Batch& batch);
  Status publish(const Record& record, const AmqpMessage& message);
  Status take_confirms(Batch& batch);
  Status take_frame(Batch& batch, const amqp_frame_t& frame);
  void confirm(Batch& batch, std::uint64_t tag, bool multiple, bool taken);
  Status take_returned(Batch& batch, const amqp_basic_return_t& returned);
  Status take_closed(Batch& batch, std::uint16_t code, const std::string& text);

  const TargetRef target_;
  const Targets& targets_;
  // What librabbitmq reads while connecting.
  MemoryFile ca_;
  MemoryFile cert_;
  MemoryFile key_;
  Connection connection_;
  std::chrono::milliseconds timeout_{0};
  std::uint64_t next_tag_ = 1;
  std::uint64_t first_tag_ = 1;  // of the batch
};

}  // namespace iotcore::rules::actions
