#pragma once

#include "base/function.h"
#include "base/result.h"
#include "broker/authorizer.h"
#include "net/http_message.h"

namespace iotcore::gateway {

// Sends the answer to one request. Called once, on any thread; if the connection is gone by then, nothing happens.
using HttpReply = Function<void(net::HttpResponse)>;

// What stands behind an HTTP face. Called on the connection's worker, on several at once; must not block.
class HttpHandler {
 public:
  // Who the peer of an accepted WebSocket is, or why it is refused before the upgrade. `evidence` of the identity may be set anew: what is
  // `authenticated` is handed to broker::Authorizer::connect, at `session_end` the connection is closed. Called once, on any thread.
  using UpgradeAnswer = Function<void(Result<broker::PeerIdentity>)>;

  virtual ~HttpHandler() = default;

  // Who asks is for the handler to find out, by `peer` (certificate, ALPN, SNI, source address) and by what stands in the request.
  // `peer` is valid until this returns.
  virtual void handle(
      net::HttpRequest request, const broker::PeerIdentity& peer, HttpReply reply
  ) = 0;

  // A well-formed request to upgrade /mqtt to MQTT over WebSocket. `request` and `peer` are valid until this returns.
  virtual void authorize_websocket(
      const net::HttpRequest& request, const broker::PeerIdentity& peer, UpgradeAnswer answer
  ) = 0;

  // The form in which this face tells errors that the connection itself finds: malformed, too large, too late.
  virtual net::HttpResponse error_response(const Error& error) = 0;
};

}  // namespace iotcore::gateway
