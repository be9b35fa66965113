#pragma once

#include "store/forwarding_store.h"
#include "store/memory_store.h"
#include "tests/unit/broker/broker_fixture.h"

namespace iotcore::conformance {

// A store in memory whose asynchronous reads are done when the test says so, by its own thread: without the two switches of threads that each turn would cost.
class TurnStore final : public store::ForwardingStore {
 public:
  TurnStore() : ForwardingStore(rows_) {}

  Executor& readers() override { return readers_; }

  void run_reads() { readers_.run(); }

 private:
  store::MemoryStore rows_;
  broker::test::QueueExecutor readers_;
};

}  // namespace iotcore::conformance
