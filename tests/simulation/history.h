#pragma once

#include "base/clock.h"
#include "broker/publish_context.h"
#include "tests/simulation/device.h"
#include "tests/simulation/ledger.h"
#include "tests/simulation/machine.h"
#include "tests/simulation/rights.h"
#include "tests/simulation/simulated_store.h"
#include "tests/unit/broker/random.h"

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace iotcore::simulation {

// One history of a broker and its clients, all of it made from the seed: what is under way at any time moves on, fails or gets lost as chance has it,
// and in the end everything is given time to come to rest. Throws Violation.
class History {
 public:
  using Trace = std::function<void(const std::string&)>;

  // Of at most so many steps before the end.
  History(unsigned seed, std::uint64_t steps_max, Trace trace);
  ~History();

  void run();

  // Of what happened: equal for equal seeds.
  std::uint64_t fingerprint() const { return fingerprint_; }

 private:
  class DurableConsumer;

  // What can happen, with the weight it has in this history.
  enum Event : std::size_t {
    kTurn,
    kWrite,
    kAct,
    kRead,
    kTime,
    kLose,
    kDisconnect,
    kDiskFails,
    kDiskMended,
    kCrash,
    kApiPublish,
    kApiDisconnect,
    kPolicy,
    kEvents,
  };

  void choose_weights();
  Event choose();
  void happen(Event event);
  void start_machine();
  void crash();
  void api_publish();
  void change_policy();
  void settle_lost_wires();
  void check_limits();
  void come_to_rest();
  void bring_back_persistent();
  void promise_what_must_have_arrived();
  void audit_retained();

  Device& some_device() { return *devices_[random_.below(static_cast<unsigned>(devices_.size()))]; }

  WorkerId some_worker() {
    return static_cast<WorkerId>(random_.below(static_cast<unsigned>(machine_->count())));
  }

  void trace(const std::string& line);

  broker::Random random_;
  std::uint64_t steps_;
  Trace trace_;
  std::uint64_t fingerprint_ = 0xCBF29CE484222325U;
  Step now_ = 0;
  std::array<unsigned, kEvents> weights_ = {};
  ManualClock clock_;
  SimulatedStore store_;
  Rights rights_;
  Ledger ledger_;
  broker::BrokerOptions options_;
  std::size_t worker_count_ = 1;
  std::unique_ptr<DurableConsumer> consumer_;
  std::uint64_t life_ = 0;
  std::unique_ptr<Machine> machine_;
  std::uint64_t dropped_before_ = 0;  // in earlier lives
  bool disk_failed_ = false;
  std::vector<std::shared_ptr<Wire>> lost_wires_;  // shared with the server's ends
  Surroundings surroundings_;
  std::vector<std::unique_ptr<Device>> devices_;
};

}  // namespace iotcore::simulation
