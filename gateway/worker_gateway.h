#pragma once

#include "gateway/connection.h"
#include "gateway/gateway.h"
#include "gateway/listener.h"

#include <array>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace iotcore::gateway {

class HttpConnection;
class IncomingConnection;
class MqttConnection;

// Of one worker, summed when scraped.
struct WorkerCounters {
  static constexpr std::size_t kCloseReasons =
      static_cast<std::size_t>(broker::CloseReason::kConnectTimeout) + 1;

  explicit WorkerCounters(Metrics& metrics);

  Counter& bytes_in;
  Counter& bytes_out;
  Counter& handshakes_ok;
  Counter& handshakes_resumed;
  Counter& handshakes_failed;
  Counter& refused;  // over connections_max
  Counter& connect_timeouts;
  Counter& proxy_refused;
  std::array<Counter*, kCloseReasons> closed;  // MQTT connections by broker::CloseReason
};

// The listeners and connections of one worker. On that worker only, but post().
class WorkerGateway {
 public:
  WorkerGateway(Gateway& gateway, WorkerId id);
  ~WorkerGateway();
  WorkerGateway(const WorkerGateway&) = delete;
  WorkerGateway& operator=(const WorkerGateway&) = delete;

  WorkerId id() const { return id_; }

  net::EventLoop& loop() { return loop_; }

  const GatewayLimits& limits() const { return gateway_.limits_; }

  ClientFactory& clients() { return gateway_.clients_; }

  WorkerCounters& counters() { return counters_; }

  WorkerId owner_of(std::string_view client_id) const;

  // An MQTT connection has ended: counted.
  void on_closed(broker::CloseReason reason) {
    counters_.closed[static_cast<std::size_t>(reason)]->add();
  }

  void listen(const Face& face, net::UniqueFd socket);
  // Takes a fresh connection, or refuses it by closing: at a limit, or where only proxies may come.
  void accept(const Face& face, net::UniqueFd fd, net::PeerAddress peer);

  // The next driver of a connection, which is out of the loop by now. An MQTT connection goes to the worker that owns its session.
  void start_mqtt(Arrival arrival, WorkerId owner);
  void start_http(Arrival arrival);
  void start_incoming(Arrival arrival);

  // Runs the next flight of the handshake after this turn's traffic, within the turn's share of time.
  void queue_handshake(IncomingConnection& connection) { handshakes_.push_back(&connection); }

  void forget_handshake(IncomingConnection& connection);

  // Calls MqttConnection::flush at the end of the turn.
  void queue_flush(MqttConnection& connection) { flush_.push_back(&connection); }

  // Calls MqttConnection::flush_early after what is being read.
  void queue_early_flush(MqttConnection& connection) { flush_early_.push_back(&connection); }

  void flush_early() {
    if (!flush_early_.empty()) {
      write_early();
    }
  }

  // Called by what may make work for end-of-turn hooks that have run already in this turn.
  void on_late_work() {
    if (ending_turn_) {
      loop_.request_turn();
    }
  }

  void on_out_of_descriptors();

  // Calls on_deadline() then. One deadline per connection: a new one replaces it.
  void set_deadline(Connection& connection, MonotonicTime at) {
    clear_deadline(connection);
    connection.deadline_ = loop_.timers().schedule(at, [&connection] { connection.on_deadline(); });
  }

  void clear_deadline(Connection& connection) {
    if (connection.deadline_.id != 0) {
      loop_.timers().cancel(std::exchange(connection.deadline_, {}));
    }
  }

  // Takes the connection out of the loop, closes its socket if it still has it, and destroys it at the end of this turn.
  void bury(Connection& connection);
  // As bury(), for a driver that has given its stream away: the connection itself goes on.
  void retire(Connection& connection);

  // Replies to HTTP requests find their connection by number, since it may be gone.
  std::uint64_t name_http(HttpConnection& connection);

  void forget_http(std::uint64_t number) { http_.erase(number); }

  HttpConnection* find_http(std::uint64_t number);

  bool shutting_down() const { return shutting_down_; }

  // Stops listening and asks every connection to end in good order.
  void shut_down();
  void close_all();

 private:
  template <typename Driver>
  Driver& adopt(std::unique_ptr<Driver> connection);
  void take_out(Connection& connection);
  void adopt_mqtt(Arrival arrival);
  void drop(Arrival& arrival);
  bool may_enter(const Face& face, const net::PeerAddress& peer);
  void run_handshakes();
  void flush();
  void write_early();
  void end_turn();

  Gateway& gateway_;
  const WorkerId id_;
  net::EventLoop& loop_;
  WorkerCounters counters_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  Connection* first_ = nullptr;
  std::deque<IncomingConnection*> handshakes_;
  std::vector<MqttConnection*> flush_;
  std::vector<MqttConnection*> flush_early_;
  std::vector<std::unique_ptr<Connection>> graveyard_;
  std::unordered_map<std::uint64_t, HttpConnection*> http_;
  std::uint64_t last_http_ = 0;
  bool ending_turn_ = false;
  MonotonicTime next_descriptor_warning_ = {};
  bool shutting_down_ = false;
};

}  // namespace iotcore::gateway
