#pragma once

#include "broker/authorizer.h"
#include "gateway/gateway.h"
#include "net/event_loop.h"
#include "net/stream.h"
#include "net/websocket.h"

#include <cstdint>
#include <memory>

namespace iotcore::gateway {

class WorkerGateway;

// A connection between its drivers and between workers: everything that goes along.
struct Arrival {
  net::Stream stream;
  const Face* face = nullptr;
  broker::PeerIdentity peer;
  std::unique_ptr<net::WebSocketState> websocket;  // set: MQTT over WebSocket
  std::string bytes;  // received and not yet consumed: MQTT, or raw HTTP
};

// One socket with its driver, in the registry of its worker. Drivers are made by WorkerGateway and destroyed at the end of the turn in which
// they call WorkerGateway::bury().
class Connection : public net::IoHandler {
 public:
  virtual ~Connection() = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // The deadline set by WorkerGateway::set_deadline has passed.
  virtual void on_deadline() = 0;
  // The server stops: end in good order, soon.
  virtual void on_shutdown() = 0;

 protected:
  Connection(WorkerGateway& gateway, net::Stream stream, const Face& face)
      : gateway_(gateway), stream_(std::move(stream)), face_(&face) {}

  WorkerGateway& gateway_;
  net::Stream stream_;
  const Face* face_;

 private:
  friend class WorkerGateway;
  Connection* previous_ = nullptr;
  Connection* next_ = nullptr;
  TimerHandle deadline_;
};

}  // namespace iotcore::gateway
