#pragma once

#include "tests/bench/dialer.h"
#include "tests/bench/latencies.h"
#include "tests/bench/options.h"
#include "tests/bench/record.h"
#include "tests/bench/topics.h"

#include <cstdint>
#include <vector>

namespace iotcore::bench {

// Which subscribers a message must reach.
enum class Wiring {
  kPair,   // the subscriber with the publisher's index, and in order
  kAll,    // every subscriber, in order
  kAny,    // exactly one, whichever its topic belongs to
  kNobody  // none: the publisher waits for its acknowledgements alone
};

struct StreamPlan {
  Wiring wiring = Wiring::kPair;
  std::uint32_t window = 64;
  std::uint32_t payload_bytes = 256;
  int qos = 0;
  bool retain = false;
  // Publisher p sends to topic p (modulo their number); with an `order`, all publishers together
  // walk the topics in it.
  Topics topics;
  std::vector<std::uint32_t> order;
  // Messages a second in all, each sent when it is due whatever became of the others. 0: closed
  // loop, in which a publisher stops while `window` of its messages have not reached every
  // subscriber (and, from QoS 1 on, have not been acknowledged).
  double rate = 0;
  // At a fixed rate: sleeps until a message is due, before other threads if it may, and does not spin.
  bool sleeps = false;
  // Messages of one publisher, after which the run ends. 0: the run ends by time.
  std::uint32_t limit = 0;
};

struct StreamResult {
  double seconds = 0;
  std::uint64_t sent = 0;  // in the measured time, as all below unless said
  std::uint64_t deliveries = 0;
  double server_cpu_s = 0;
  double own_cpu_s = 0;
  std::uint64_t undelivered = 0;  // messages that never reached everybody
  std::uint64_t disorder =
      0;                 // deliveries that were not the next of their publisher, in the whole run
  bool stalled = false;  // nothing moved for 3 s: a closed loop lost a message
  Latencies latencies;   // open loop only
};

// Publishes from open clients to subscribed ones. Each of `threads` threads owns every threads-th
// client of both kinds.
StreamResult run_streams(
    const Options& options, const StreamPlan& plan, Clients& publishers, Clients& subscribers
);

void add_to(Record& record, const StreamResult& result);

}  // namespace iotcore::bench
