#pragma once

#include "base/clock.h"
#include "base/metrics.h"
#include "base/timer_wheel.h"
#include "broker/broker.h"
#include "broker/client.h"
#include "broker/link.h"
#include "broker/worker_broker.h"
#include "broker/workers.h"
#include "tests/simulation/simulated_store.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::simulation {

// A connection as seen from between the two ends: bytes on their way, and which end has gone.
struct Wire {
  std::string to_server;
  std::string to_device;
  std::size_t room = 0;      // how much may be on its way to the device: the socket's buffer
  bool device_gone = false;  // the server finds out once it has read what came before
  bool server_gone = false;  // and the device likewise
};

// The server's end of a connection: what the gateway is in the real server.
class ServerEnd final : public broker::Link {
 public:
  ServerEnd(broker::WorkerBroker& worker, std::shared_ptr<Wire> wire, broker::PeerIdentity peer);
  ~ServerEnd() override;

  void close(broker::CloseReason reason) override { closing_ = closing_.value_or(reason); }

  void set_reading(bool on) override {
    reading_ = on;
    offer_again_ = on && !unread_.empty();
  }

  // Takes up to so many bytes off the wire.
  void receive(std::size_t bytes_max);
  // Puts on the wire what there is room for; ends the client that has been closed.
  void flush();

  bool is_over() const { return client_ == nullptr; }

  bool has_work() const;

  std::size_t out_bytes() const { return out_.size(); }

 protected:
  void queue_flush() override {}

 private:
  void offer();

  std::shared_ptr<Wire> wire_;  // shared with the device
  std::unique_ptr<broker::Client> client_;
  std::string unread_;
  std::optional<broker::CloseReason> closing_;
  bool reading_ = true;
  bool offer_again_ = false;
};

// One life of the server process: the broker with its workers, each of which runs when it is told to. Destroyed, it is killed: nothing is said to
// anybody, and the store forgets what it had not promised.
class Machine final : public broker::Workers {
 public:
  Machine(
      SimulatedStore& store,
      broker::Authorizer& authorizer,
      const Clock& clock,
      const broker::BrokerOptions& options,
      std::size_t worker_count,
      broker::Random& random
  );
  ~Machine() override;

  std::size_t count() const override { return executors_.size(); }

  Executor& executor(WorkerId id) override { return executors_[index(id)]; }

  broker::WorkerBroker& broker(WorkerId id) override { return *workers_[index(id)]; }

  Executor& blocking() override { return blocking_; }

  broker::Broker& shared() { return *broker_; }

  void connect(
      const std::shared_ptr<Wire>& wire, std::string_view client_id, std::string principal
  );

  // One turn of that worker's loop, with as much input as chance has it, or with all.
  void turn(WorkerId id, bool everything);
  // What runs on threads of its own.
  void run_blocking();

  bool is_at_rest() const;
  std::size_t out_bytes_max() const;
  std::uint64_t dropped_messages();

 private:
  void run_tasks(WorkerId id);
  void read_connections(WorkerId id, bool everything);

  SimulatedStore& store_;
  const Clock& clock_;
  broker::Random& random_;
  Metrics metrics_;
  std::vector<StepExecutor> executors_;
  StepExecutor blocking_;
  std::vector<TimerWheel> timers_;
  std::unique_ptr<broker::Broker> broker_;
  std::vector<std::unique_ptr<broker::WorkerBroker>> workers_;
  std::vector<std::vector<std::unique_ptr<ServerEnd>>> connections_;  // of each worker
};

}  // namespace iotcore::simulation
