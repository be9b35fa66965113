#pragma once

#include "base/clock.h"
#include "broker/out_buffer.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

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

// An end of a connection; empty: not known.
struct LinkAddress {
  std::string ip;
  std::uint16_t port = 0;
};

// A client's way out: the gateway's socket as the broker sees it. Lives on one worker.
class Link {
 public:
  virtual ~Link() = default;

  // Frames are appended here; flush_soon() has them written at the end of the loop's turn, or before if they are many.
  OutBuffer& out() { return out_; }

  void flush_soon() {
    if (!flush_queued_) {
      flush_queued_ = true;
      queue_flush();
    } else if (out_.size() > kFlushEarlyBytes && !early_flush_queued_) {
      early_flush_queued_ = true;
      queue_early_flush();
    }
  }

  // Has Client::on_sent() called, once, when all that is in out() has been written.
  void tell_when_sent() {
    tell_when_sent_ = true;
    flush_soon();
  }

  // Writes what is in out(), then closes. The link calls Client::on_closed later, never from here.
  virtual void close(CloseReason reason) = 0;
  // Stops or resumes reading from the socket: backpressure on a publisher.
  virtual void set_reading(bool on) = 0;

  // Ends the connection at that time, for that reason, unless it is told an earlier one: Client::on_closed is called with it and may leave a last packet.
  virtual void close_at(MonotonicTime /*at*/, CloseReason /*reason*/) {}

  // Our end, to which the client has connected.
  virtual LinkAddress local_address() const { return {}; }

 protected:
  // More than this is written while the caches still hold it.
  static constexpr std::size_t kFlushEarlyBytes = 64 << 10;

  virtual void queue_flush() = 0;

  // Within the turn, but not before the broker is through with what it is doing.
  virtual void queue_early_flush() {}

  // Whether Client::on_sent() is to be called now.
  bool is_sent() {
    return tell_when_sent_ && out_.empty() && std::exchange(tell_when_sent_, false);
  }

  OutBuffer out_;
  bool flush_queued_ = false;
  bool early_flush_queued_ = false;
  bool tell_when_sent_ = false;
};

}  // namespace iotcore::broker
