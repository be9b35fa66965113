#pragma once

#include "base/metrics.h"
#include "base/result.h"
#include "gateway/client_factory.h"
#include "gateway/face_limits.h"
#include "gateway/http_handler.h"
#include "gateway/worker_threads.h"
#include "net/address_range.h"
#include "net/socket.h"
#include "net/tls_context.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::gateway {

class WorkerGateway;

// What a peer can make grow or last, per connection unless said.
struct GatewayLimits {
  std::size_t connections_max = 1'000'000;  // of the process
  std::chrono::seconds connect_timeout{
      30};  // from accept to the first whole CONNECT or HTTP request head (mqtt.md 2)
  std::chrono::seconds http_request_timeout{30};  // from a request's first byte to its last
  std::chrono::seconds http_idle_timeout{75};     // between requests
  std::chrono::seconds http_reply_timeout{120};   // until the handler answers
  std::chrono::seconds write_stall_timeout{20};   // output waits and the peer takes none of it
  std::chrono::milliseconds linger_timeout{
      1000};  // after our last byte, for the peer to read it and close
  std::size_t http_header_bytes_max = 16 * 1024;
  std::size_t http_body_bytes_max = 1024 * 1024;
  std::size_t websocket_frame_bytes_max = 1024 * 1024;
  // A WebSocket's close frame without a DISCONNECT before it counts as one, as on AWS, instead of as a lost connection.
  bool websocket_close_disconnects = false;
  int backlog = 4096;
};

// One way in: where it listens and what it speaks.
struct FaceConfig {
  std::string name;  // "mqtt", "mqtts", "http", …: label of metrics, key of ports
  net::ListenAddress address;
  const net::TlsContext* tls = nullptr;  // nullptr: plain. Outlives the gateway
  bool mqtt = false;                     // with http as well: ALPN decides, else the first byte
  HttpHandler* http = nullptr;           // nullptr: no HTTP. Outlives the gateway
  std::string websocket_path = "/mqtt";  // empty: no MQTT over WebSocket
  bool development = false;              // PeerIdentity::development of those who come this way
  // Connections come from a load balancer with a PROXY header (version 2) before everything else, and only from there.
  bool proxy_protocol = false;
  std::vector<net::AddressRange> trusted_proxies;
  FaceLimits limits;
};

// New connections of a face, spread evenly over time up to a tenth of a second's worth at once. Any thread.
class AcceptRate {
 public:
  // How long the next one has to wait; zero or less: it may come.
  Duration wait(MonotonicTime now) const;
  void take(MonotonicTime now, std::uint32_t per_s_max);

 private:
  static constexpr Duration kBurst = std::chrono::milliseconds(100);

  std::atomic<Duration::rep> due_ = 0;  // when the next one would come at an even pace
};

struct Face {
  FaceConfig config;
  std::uint16_t port = 0;
  mutable AcceptRate accept_rate;  // counted by the listeners of all workers
  Gauge* open = nullptr;
  Counter* accepted = nullptr;
};

// All listeners and connections of the process. A face listens on every worker by a socket of its own, and the kernel spreads connections;
// an MQTT connection moves once, after its CONNECT, to the worker that owns its session.
class Gateway {
 public:
  // Before workers.start(): adds an end-of-turn hook (turn_order::kFlush) to each loop.
  Gateway(WorkerThreads& workers, ClientFactory& clients, Metrics& metrics, GatewayLimits limits);
  // After the workers have stopped.
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  // Binds each face, all workers to one port, and begins to accept. After workers.start(), once. When it returns, every listener accepts.
  Status open(std::vector<FaceConfig> faces);
  // 0 for a face that is not there.
  std::uint16_t port(std::string_view face) const;

  // Stops accepting, tells the MQTT clients (kServerShutdown), lets HTTP replies out, and waits until all connections are gone or the time is
  // over; then closes what is left. Blocks; not on a worker.
  void close(std::chrono::milliseconds drain_max);

  std::size_t open_connections() const { return open_connections_.load(std::memory_order_relaxed); }

  const GatewayLimits& limits() const { return limits_; }

 private:
  friend class WorkerGateway;

  WorkerThreads& workers_;
  ClientFactory& clients_;
  Metrics& metrics_;
  GatewayLimits limits_;
  std::atomic<std::size_t> open_connections_ = 0;
  std::vector<std::unique_ptr<Face>> faces_;
  std::vector<std::unique_ptr<WorkerGateway>> per_worker_;
};

}  // namespace iotcore::gateway
