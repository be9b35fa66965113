#pragma once

#include "tests/bench/link.h"
#include "tests/bench/mqtt_wire.h"
#include "tests/bench/options.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace iotcore::bench {

// One MQTT client of the load.
struct Client {
  enum class Role : std::uint8_t { kPublisher, kSubscriber };

  Role role = Role::kSubscriber;
  std::uint32_t index = 0;
  std::uint16_t receive_maximum = 65535;
  std::string id;
  std::vector<std::string> filters;
  Link link;
};

using Clients = std::vector<std::unique_ptr<Client>>;

// `count` clients whose ids tell the relay what they are: bench-p-00007, bench-s-00007.
Clients make_clients(Client::Role role, std::uint32_t count);

// Opens clients a bounded number at a time, and subscribes them. Any refusal ends the run.
class Dialer {
 public:
  Dialer(const Options& options, TlsClient* tls);
  ~Dialer();
  Dialer(const Dialer&) = delete;
  Dialer& operator=(const Dialer&) = delete;

  // Returns when every client has had its CONNACK. `on_open` may send and close.
  void open(Clients& clients, const std::function<void(Client&)>& on_open = nullptr);

  void resume_sessions(bool on) { resume_ = on; }

  // Subscribes each client to its filters at `qos`, one SUBSCRIBE packet of --filters-per-packet at
  // a time, all clients at once. Returns the number of filters.
  std::uint64_t subscribe(Clients& clients, int qos);

 private:
  void start_next();
  void on_event(Client& client);
  bool read_frame(Client& client, FrameView& frame);
  bool send_subscribe(Client& client, int qos);

  const Options& options_;
  TlsClient* tls_;
  int epoll_;
  bool resume_ = false;
  Clients* clients_ = nullptr;
  const std::function<void(Client&)>* on_open_ = nullptr;
  std::size_t started_ = 0;
  std::size_t opened_ = 0;
  std::vector<std::uint32_t> subscribed_;
};

}  // namespace iotcore::bench
