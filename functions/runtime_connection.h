#pragma once

#include "base/function.h"
#include "net/event_loop.h"
#include "net/http_codec.h"
#include "net/stream.h"

#include <optional>
#include <string>

namespace iotcore::functions {

// A connection on which a function's process speaks the Runtime API: one request at a time, each answered when somebody calls reply(). One thread.
class RuntimeConnection final : public net::IoHandler {
 public:
  struct Events {
    Function<void(RuntimeConnection&, net::HttpRequest)> on_request;
    // May destroy the connection, but not before the call returns.
    Function<void(RuntimeConnection&)> on_closed;
  };

  RuntimeConnection(net::EventLoop& loop, net::UniqueFd socket, Events events);
  ~RuntimeConnection();
  RuntimeConnection(const RuntimeConnection&) = delete;
  RuntimeConnection& operator=(const RuntimeConnection&) = delete;

  void reply(const net::HttpResponse& response);

  bool is_closed() const { return is_closed_; }

 private:
  void on_io(std::uint32_t events) override;
  void read();
  void parse();
  void write();
  void close();

  net::EventLoop& loop_;
  net::Stream stream_;
  Events events_;
  std::optional<net::HttpRequestParser> parser_;
  std::string input_;
  std::string output_;
  std::size_t written_ = 0;  // of output_
  bool is_answering_ = false;
  bool has_said_continue_ = false;
  bool keep_alive_ = true;
  bool watches_writable_ = false;
  bool is_closed_ = false;
};

}  // namespace iotcore::functions
