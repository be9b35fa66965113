#pragma once

#include "broker/session_rows.h"

#include <cstdint>

namespace iotcore::broker {

// What becomes of a session when rows of it are in the store: one thing to do, told apart by `kind`.
struct CommitMark {
  enum class Kind : std::uint8_t {
    kKept,       // the QoS 2 message `value` may be sent
    kReleased,   // PUBREL of the message `value` may be sent
    kCompleted,  // PUBCOMP may be sent: `value` is the connection's number and the packet identifier
    kAhead,      // messages below the number `value` may be sent
    kRecord,     // the session is known to the store
  };

  SessionNumber session;
  std::uint64_t value;
  Kind kind;
};

}  // namespace iotcore::broker
