#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

namespace iotcore::conformance {

// One client's connection.
class Wire {
 public:
  virtual ~Wire() = default;
  virtual void send(std::string_view bytes) = 0;
  // Appends what has come to `bytes`; waits for it, if it has to, no longer than `patience`. False once the server has closed and all is read.
  virtual bool receive(std::string& bytes, std::chrono::milliseconds patience) = 0;
  // The network fails.
  virtual void drop() = 0;
};

// What cases run against: the broker in memory, or a server behind sockets.
class World {
 public:
  virtual ~World() = default;
  virtual std::unique_ptr<Wire> open() = 0;
  virtual void wait(std::chrono::milliseconds time) = 0;
  // Lets it take in what it does not answer: a lost connection, a message at QoS 0.
  virtual void catch_up() = 0;
  // The server dies without warning, and is started again on what it has stored.
  virtual void restart() = 0;
  // From now on the action (connect, publish, subscribe, receive) on that name is denied. Only in memory.
  virtual void deny(const std::string& action, const std::string& name) = 0;
  // Another value of one of the broker's options. Only in memory, before the first connection.
  virtual void set_option(const std::string& name, std::size_t value) = 0;
  // Whether what has come is all that will come, as long as nothing more is sent.
  virtual bool is_settled() const = 0;
};

}  // namespace iotcore::conformance
