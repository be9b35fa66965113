#pragma once

#include "broker/session_rows.h"

#include <cstdint>

namespace iotcore::broker {

// What becomes of a session when rows of it are in the store: one thing to do, told apart by `kind`.
struct CommitMark {
  enum class Kind : std::uint8_t {
    kKept,       // the QoS 2 message `value` may be sent
    kReleased,   // PUBREL of the message `value` may be sent
    kCompleted,  // PUBCOMP of the packet identifier `value` may be sent, on that connection
    kAhead,      // messages below the number `value` may be sent, on that connection
    kRecord,     // the session is known to the store
  };

  SessionNumber session;
  std::uint64_t value;
  Kind kind;
  std::uint32_t connection = 0;  // SessionQueue::connection()
};

}  // namespace iotcore::broker
