#pragma once

#include "base/result.h"
#include "broker/authorizer.h"
#include "broker/link.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

namespace iotcore::broker {

class WorkerBroker;

// The MQTT side of one connection: bytes in, frames out by the link. Lives on the worker that owns the session, from the first packet to the end
// of the connection. Touches no socket and reads no clock.
class Client {
 public:
  // The client id of the CONNECT at the front of `bytes`, so that the accepting worker can hand the connection to the session's owner before anything
  // is consumed. Nothing: more bytes are needed. An empty id: the caller may stay where it is. kMalformedPacket, kPacketTooLarge, …:
  // make a Client all the same and offer it the bytes; it answers as the standard asks and closes.
  static Result<std::optional<std::string_view>> peek_client_id(
      std::string_view bytes, std::size_t packet_bytes_max
  );

  static std::unique_ptr<Client> make(
      WorkerBroker& worker, Link& link, PeerIdentity peer, bool over_websocket
  );
  virtual ~Client() = default;

  // Takes packets from the front of `bytes` and returns how many bytes it took; what is left is an unfinished packet, or waits for
  // Link::set_reading(true), and is to be offered again, with what came after it. After Link::close() nothing is taken any more.
  virtual std::size_t on_bytes(std::string_view bytes) = 0;

  // What was unsent when Link::tell_when_sent() was called is written.
  virtual void on_sent() = 0;

  // The transport is gone (or was closed as Link::close asked). Called once; then the client is destroyed. `reason` is what the gateway saw
  // (kConnectionLost, kServerShutdown, …); a reason that the client gave to Link::close() itself takes precedence. For kServerShutdown,
  // kWebsocketTtl and kCustomAuthTtl it may leave a last packet in out().
  virtual void on_closed(CloseReason reason) = 0;
};

}  // namespace iotcore::broker
