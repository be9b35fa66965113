#pragma once

#include "base/function.h"
#include "functions/definition.h"
#include "functions/output_log.h"
#include "functions/process.h"
#include "functions/runtime_api.h"
#include "functions/runtime_connection.h"
#include "net/event_loop.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace iotcore::functions {

// A descriptor in the loop with what is to be done when something comes. Ours to close.
class Watched final : public net::IoHandler {
 public:
  Watched(net::EventLoop& loop, int fd, Function<void()> ready);
  ~Watched();
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;

  // Nothing more is told; it may be called from inside `ready`.
  void stop();

 private:
  void on_io(std::uint32_t /*events*/) override { ready_(); }

  net::EventLoop& loop_;
  int fd_;
  bool is_stopped_ = false;
  Function<void()> ready_;
};

// One process of a function, from its start to its end: waits for an event, works on it, waits for the next. One thread.
class Instance {
 public:
  enum class State : std::uint8_t { kStarting, kIdle, kBusy, kEnding };

  // Who hears of it. Nothing here may destroy the instance.
  class Owner {
   public:
    virtual ~Owner() = default;
    // It waits for an event.
    virtual void on_idle(Instance& instance) = 0;
    // Of the event that it was given.
    virtual void on_answer(Instance& instance, std::string payload, bool is_error) = 0;
    // Its process is gone. `error` is a document as answers have it; had_started: it asked for an event once.
    virtual void on_ended(Instance& instance, std::string error, bool had_started) = 0;
  };

  Instance(
      net::EventLoop& loop,
      Process process,
      std::optional<std::uint32_t> user,
      OutputLog& output,
      Owner& owner
  );
  ~Instance();
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  State state() const { return state_; }

  // The id of the event that it works on; empty: none.
  const std::string& request_id() const { return request_id_; }

  // When it last became idle.
  MonotonicTime idle_since() const { return idle_since_; }

  // Only when it is idle.
  void give(Event event);
  // Nothing more is heard of it but on_ended(). `error`: what that says; empty: what the process's end says.
  void end(std::string error);

 private:
  void on_channel();
  void on_output();
  void on_connection();
  void on_request(RuntimeConnection& connection, const net::HttpRequest& request);
  void on_next(RuntimeConnection& connection);
  void on_result(
      RuntimeConnection& connection, const net::HttpRequest& request, const RuntimeRequest& what
  );
  void on_closed(RuntimeConnection& connection);
  void gone(const std::string& how);

  net::EventLoop& loop_;
  Process process_;
  const std::optional<std::uint32_t> user_;  // whose connections are its own; nothing: anybody's
  OutputLog& output_;
  Owner& owner_;
  State state_ = State::kStarting;
  bool had_started_ = false;
  bool is_gone_ = false;
  std::string request_id_;
  std::string error_;  // why it ends
  std::string unfinished_line_;
  MonotonicTime idle_since_ = {};
  net::UniqueFd listener_;
  std::unique_ptr<Watched> watched_channel_;
  std::unique_ptr<Watched> watched_output_;
  std::unique_ptr<Watched> watched_listener_;
  std::vector<std::unique_ptr<RuntimeConnection>> connections_;
  RuntimeConnection* poll_ = nullptr;  // the one that waits for the next event
};

}  // namespace iotcore::functions
