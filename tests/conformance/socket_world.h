#pragma once

#include "tests/conformance/world.h"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>

struct ssl_ctx_st;

namespace iotcore::conformance {

struct Address {
  std::string host = "127.0.0.1";
  unsigned short port = 0;
  // With these, mutual TLS.
  std::string ca;
  std::string certificate;
  std::string key;
  bool websocket = false;
};

// A server that others start, and start again when a line "restart" is written; it answers with a line that has the new port.
class Server {
 public:
  explicit Server(Address address);
  ~Server();

  std::unique_ptr<Wire> open();

  // How many cases of the round may ask for a restart. It takes place when each has either asked, or left.
  void begin_round(std::size_t cases);
  void restart();
  void leave_round();

 private:
  void restart_if_all_wait();

  Address address_;
  ssl_ctx_st* tls_ = nullptr;
  std::mutex mutex_;
  std::condition_variable restarted_;
  std::size_t in_round_ = 0;
  std::size_t waiting_ = 0;
  unsigned long restarts_ = 0;
};

class SocketWorld final : public World {
 public:
  explicit SocketWorld(Server& server) : server_(server) {}

  std::unique_ptr<Wire> open() override { return server_.open(); }

  void wait(std::chrono::milliseconds time) override;
  void catch_up() override;

  void restart() override { server_.restart(); }

  void deny(const std::string& action, const std::string& name) override;
  void set_option(const std::string& name, std::size_t value) override;

  bool is_settled() const override { return false; }

 private:
  Server& server_;
};

}  // namespace iotcore::conformance
