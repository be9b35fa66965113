#include "gateway/worker_gateway.h"

#include "base/log.h"
#include "gateway/http_connection.h"
#include "gateway/incoming_connection.h"
#include "gateway/mqtt_connection.h"

#include <algorithm>

namespace iotcore::gateway {
namespace {

// What handshakes may take of a turn in which there may be other traffic; at least one is always done, which is a third of a millisecond.
constexpr auto kHandshakeTimePerTurn = std::chrono::microseconds(100);
constexpr auto kDescriptorWarningEvery = std::chrono::seconds(10);

}  // namespace

WorkerCounters::WorkerCounters(Metrics& metrics)
    : bytes_in(metrics.counter("iotcore_bytes_received_total", "Bytes received from peers.")),
      bytes_out(metrics.counter("iotcore_bytes_sent_total", "Bytes sent to peers.")),
      handshakes_ok(metrics.counter(
          "iotcore_tls_handshakes_total", "TLS handshakes by result.", {{"result", "ok"}}
      )),
      handshakes_resumed(
          metrics.counter("iotcore_tls_resumed_total", "TLS handshakes that resumed a session.")
      ),
      handshakes_failed(metrics.counter(
          "iotcore_tls_handshakes_total", "TLS handshakes by result.", {{"result", "failed"}}
      )),
      refused(metrics.counter(
          "iotcore_connections_refused_total", "Connections turned away at the limit."
      )),
      connect_timeouts(metrics.counter(
          "iotcore_connect_timeouts_total", "Connections that said nothing useful in time."
      )),
      proxy_refused(metrics.counter(
          "iotcore_proxy_refused_total",
          "Connections to a face for proxies from elsewhere, or without a PROXY header."
      )) {
  for (std::size_t i = 0; i < closed.size(); ++i) {
    const auto reason = static_cast<broker::CloseReason>(i);
    closed[i] = &metrics.counter(
        "iotcore_mqtt_connections_closed_total",
        "MQTT connections that ended, by reason.",
        {{"reason", std::string(broker::disconnect_reason_of(reason))}}
    );
  }
}

WorkerGateway::WorkerGateway(Gateway& gateway, WorkerId id)
    : gateway_(gateway), id_(id), loop_(gateway.workers_.loop(id)), counters_(gateway.metrics_) {
  clients().counts_traffic(id, counters_.bytes_in, counters_.bytes_out);
  loop_.at_turn_end(turn_order::kFlush, [this] { end_turn(); });
}

WorkerGateway::~WorkerGateway() {
  close_all();
}

void WorkerGateway::listen(const Face& face, net::UniqueFd socket) {
  listeners_.push_back(std::make_unique<Listener>(*this, face, std::move(socket)));
}

WorkerId WorkerGateway::owner_of(std::string_view client_id) const {
  return gateway_.workers_.owner_of(client_id);
}

bool WorkerGateway::may_enter(const Face& face, const net::PeerAddress& peer) {
  const FaceConfig& config = face.config;
  if (config.proxy_protocol && !net::contains(config.trusted_proxies, peer.ip)) {
    counters_.proxy_refused.add();
    return false;
  }
  const std::size_t face_max = config.limits.connections_max;
  if (face_max != 0 && face.open->value() >= static_cast<std::int64_t>(face_max)) {
    counters_.refused.add();
    return false;
  }
  if (gateway_.open_connections_.fetch_add(1, std::memory_order_relaxed) >=
      gateway_.limits_.connections_max) {
    gateway_.open_connections_.fetch_sub(1, std::memory_order_relaxed);
    counters_.refused.add();
    return false;
  }
  return true;
}

void WorkerGateway::accept(const Face& face, net::UniqueFd fd, net::PeerAddress peer) {
  if (!may_enter(face, peer)) {
    return;
  }
  face.open->add(1);
  face.accepted->add_shared();
  Arrival arrival;
  arrival.stream = face.config.tls != nullptr ? face.config.tls->accept(std::move(fd))
                                              : net::Stream(std::move(fd));
  arrival.face = &face;
  arrival.peer.source_ip = std::move(peer.ip);
  arrival.peer.source_port = peer.port;
  arrival.peer.development = face.config.development;
  start_incoming(std::move(arrival));
}

template <typename Driver>
Driver& WorkerGateway::adopt(std::unique_ptr<Driver> connection) {
  Driver& driver = *connection.release();
  Connection& base = driver;
  base.next_ = first_;
  if (first_ != nullptr) {
    first_->previous_ = &base;
  }
  first_ = &base;
  return driver;
}

void WorkerGateway::take_out(Connection& connection) {
  clear_deadline(connection);
  if (connection.previous_ != nullptr) {
    connection.previous_->next_ = connection.next_;
  } else {
    first_ = connection.next_;
  }
  if (connection.next_ != nullptr) {
    connection.next_->previous_ = connection.previous_;
  }
  graveyard_.emplace_back(&connection);
  on_late_work();
}

void WorkerGateway::start_incoming(Arrival arrival) {
  if (shutting_down_) {
    drop(arrival);
    return;
  }
  adopt(std::make_unique<IncomingConnection>(*this, std::move(arrival))).start();
}

void WorkerGateway::start_http(Arrival arrival) {
  if (shutting_down_) {
    drop(arrival);
    return;
  }
  adopt(std::make_unique<HttpConnection>(*this, arrival)).start(std::move(arrival));
}

void WorkerGateway::start_mqtt(Arrival arrival, WorkerId owner) {
  if (owner == id_) {
    adopt_mqtt(std::move(arrival));
    return;
  }
  WorkerGateway& there = *gateway_.per_worker_[index(owner)];
  there.loop_.post([&there, moved = std::make_unique<Arrival>(std::move(arrival))] {
    there.adopt_mqtt(std::move(*moved));
  });
}

void WorkerGateway::adopt_mqtt(Arrival arrival) {
  if (shutting_down_) {
    drop(arrival);
    return;
  }
  MqttConnection& connection = adopt(std::make_unique<MqttConnection>(*this, arrival));
  connection.start(std::move(arrival.peer), arrival.bytes);
}

void WorkerGateway::drop(Arrival& arrival) {
  arrival.stream.close();
  arrival.face->open->add(-1);
  gateway_.open_connections_.fetch_sub(1, std::memory_order_relaxed);
}

void WorkerGateway::bury(Connection& connection) {
  loop_.forget(connection);
  connection.stream_.close();
  connection.face_->open->add(-1);
  gateway_.open_connections_.fetch_sub(1, std::memory_order_relaxed);
  take_out(connection);
}

void WorkerGateway::retire(Connection& connection) {
  take_out(connection);
}

void WorkerGateway::forget_handshake(IncomingConnection& connection) {
  std::erase(handshakes_, &connection);
}

void WorkerGateway::run_handshakes() {
  if (handshakes_.empty()) {
    return;
  }
  const MonotonicTime stop_at = loop_.clock().now() + kHandshakeTimePerTurn;
  do {
    IncomingConnection& connection = *handshakes_.front();
    handshakes_.pop_front();
    connection.continue_handshake();
  } while (!handshakes_.empty() && loop_.clock().now() < stop_at);
  if (!handshakes_.empty()) {
    loop_.request_turn();
  }
}

void WorkerGateway::flush() {
  for (std::size_t i = 0; i < flush_.size(); ++i) {
    flush_[i]->flush();
  }
  flush_.clear();
}

// Whoever is lost meanwhile is buried, and destroyed only at the end of the turn.
void WorkerGateway::write_early() {
  for (MqttConnection* const connection : flush_early_) {
    connection->flush_early();
  }
  flush_early_.clear();
}

void WorkerGateway::end_turn() {
  ending_turn_ = true;
  flush_early_.clear();
  flush();
  run_handshakes();
  flush();
  ending_turn_ = false;
  graveyard_.clear();
}

std::uint64_t WorkerGateway::name_http(HttpConnection& connection) {
  http_.emplace(++last_http_, &connection);
  return last_http_;
}

HttpConnection* WorkerGateway::find_http(std::uint64_t number) {
  const auto found = http_.find(number);
  return found == http_.end() ? nullptr : found->second;
}

void WorkerGateway::on_out_of_descriptors() {
  counters_.refused.add();
  if (loop_.turn_time() >= next_descriptor_warning_) {
    next_descriptor_warning_ = loop_.turn_time() + kDescriptorWarningEvery;
    log(LogLevel::kError,
        "listener.out_of_descriptors",
        {{"hint", "raise the limit of open files (ulimit -n, LimitNOFILE)"}});
  }
}

void WorkerGateway::shut_down() {
  shutting_down_ = true;
  listeners_.clear();
  for (Connection* connection = first_; connection != nullptr;) {
    std::exchange(connection, connection->next_)->on_shutdown();
  }
}

void WorkerGateway::close_all() {
  shutting_down_ = true;
  listeners_.clear();
  handshakes_.clear();
  flush_.clear();
  flush_early_.clear();
  while (first_ != nullptr) {
    bury(*first_);
  }
  graveyard_.clear();
}

}  // namespace iotcore::gateway
