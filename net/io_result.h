#pragma once

#include <cstddef>
#include <cstdint>

namespace iotcore::net {

enum class IoStatus : std::uint8_t {
  kOk,          // at least one byte moved
  kWouldBlock,  // wait for the descriptor to become readable, or writable
  kClosed,      // the peer sends no more
  kError,       // reset, TLS alert, …: of no use any more
};

struct ReadResult {
  IoStatus status = IoStatus::kError;
  std::size_t bytes = 0;
  // Nothing more was there, so that an edge-triggered reader may wait without asking once more. A peer that has also closed its side shows
  // as EPOLLRDHUP.
  bool drained = false;
};

struct WriteResult {
  IoStatus status = IoStatus::kError;
  std::size_t bytes = 0;  // also when it ends with kWouldBlock
};

}  // namespace iotcore::net
