#pragma once

#include "base/clock.h"
#include "broker/out_buffer.h"

#include <cstdint>
#include <string_view>

namespace iotcore::broker {

// Why a connection ended: label of metrics, source of disconnectReason in lifecycle events (mqtt.md 10).
enum class CloseReason : std::uint8_t {
  kClientDisconnect,
  kClientError,
  kConnectionLost,
  kDuplicateClientId,
  kAuthError,
  kForbidden,
  kKeepAliveTimeout,
  kServerError,
  kServerShutdown,
  kApiRequest,
  kThrottled,
  kWebsocketTtl,
  kCustomAuthTtl,
  kSlowReceiver,
  kConnectTimeout,
};

std::string_view disconnect_reason_of(CloseReason reason);

// A client's way out: the gateway's socket as the broker sees it. Lives on one worker.
class Link {
 public:
  virtual ~Link() = default;

  // Frames are appended here; flush_soon() has them written at the end of the loop's turn.
  OutBuffer& out() { return out_; }

  void flush_soon() {
    if (!flush_queued_) {
      flush_queued_ = true;
      queue_flush();
    }
  }

  // Writes what is in out(), then closes. The link calls Client::on_closed later, never from here.
  virtual void close(CloseReason reason) = 0;
  // Stops or resumes reading from the socket: backpressure on a publisher.
  virtual void set_reading(bool on) = 0;

  // Ends the connection at that time, for that reason, unless it is told an earlier one: Client::on_closed is called with it and may leave a last packet.
  virtual void close_at(MonotonicTime /*at*/, CloseReason /*reason*/) {}

 protected:
  virtual void queue_flush() = 0;
  OutBuffer out_;
  bool flush_queued_ = false;
};

}  // namespace iotcore::broker
