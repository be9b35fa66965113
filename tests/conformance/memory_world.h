#pragma once

#include "tests/conformance/turn_store.h"
#include "tests/conformance/world.h"
#include "tests/unit/broker/broker_fixture.h"

#include <memory>
#include <string>
#include <vector>

namespace iotcore::conformance {

class MemoryWire;

// The broker without sockets, threads and a clock of its own.
class MemoryWorld final : public World {
 public:
  // `in_pieces`: what is sent comes byte by byte at first.
  MemoryWorld(std::size_t workers, bool in_pieces);
  ~MemoryWorld() override;

  std::unique_ptr<Wire> open() override;
  void wait(std::chrono::milliseconds time) override;

  void catch_up() override {}

  void restart() override;
  void deny(const std::string& action, const std::string& name) override;
  void set_option(const std::string& name, std::size_t value) override;

  bool is_settled() const override { return true; }

  // Runs turns until nothing is left to do.
  void settle();
  broker::WorkerBroker& worker_of(std::string_view client_id);
  void forget(MemoryWire& wire);

  const broker::BrokerOptions& options() const { return options_; }

  bool in_pieces() const { return in_pieces_; }

 private:
  // What a restart ends.
  struct Process;

  Process& process();

  std::size_t worker_count_;
  bool in_pieces_;
  broker::BrokerOptions options_;
  ManualClock clock_;
  TurnStore store_;
  broker::test::TestAuthorizer authorizer_;
  std::vector<MemoryWire*> wires_;
  std::unique_ptr<Process> process_;
};

}  // namespace iotcore::conformance
