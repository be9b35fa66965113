#pragma once

#include "tests/bench/options.h"
#include "tests/bench/websocket_wire.h"

#include <openssl/ssl.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace iotcore::bench {

// The client's side of TLS: one context, and the sessions that servers handed out.
class TlsClient {
 public:
  explicit TlsClient(const Options& options);
  ~TlsClient();
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  // A fresh handshake, or one that resumes the newest unused session when `resume` is set and there
  // is one.
  SSL* start(int fd, bool resume);

  std::size_t sessions() const { return sessions_.size(); }

 private:
  static int on_new_session(SSL* ssl, SSL_SESSION* session);

  SSL_CTX* context_ = nullptr;
  std::string server_name_;
  std::vector<SSL_SESSION*> sessions_;
};

// A non-blocking connection, plain or TLS, on request with WebSocket on top, in one epoll set. Used by one thread at a time.
class Link {
 public:
  enum class State { kClosed, kConnecting, kHandshake, kUpgrade, kOpen };

  Link() = default;

  ~Link() { close(); }

  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  // Registers with `epoll` under `tag`. `tls` is null for a plain connection and must outlive this.
  void connect(const Options& options, TlsClient* tls, bool resume, int epoll, void* tag);
  // After an event while connecting or in the handshake. The text of the error, empty while all is
  // well.
  std::string advance();
  // Moves to another epoll set.
  void move_to(int epoll, void* tag);
  void close();

  State state() const { return state_; }

  bool resumed() const { return ssl_ != nullptr && SSL_session_reused(ssl_) == 1; }

  // Sends now what the socket takes and keeps the rest, to be sent by flush(). False: the
  // connection is broken. Over WebSocket `bytes` are whole MQTT packets.
  bool send(std::string_view bytes);
  bool flush();

  bool has_output() const { return !out_.empty(); }

  // Bytes received, more than none; 0 at the end of the stream or a broken connection, -1 when there is nothing
  // now.
  ssize_t receive(std::uint8_t* buffer, std::size_t size);

  // TLS: decrypted bytes wait inside that no event will announce.
  bool has_hidden_input() const { return ssl_ != nullptr && SSL_has_pending(ssl_) == 1; }

  // The bytes of an unfinished packet, between two reads.
  std::string& partial() { return partial_; }

 private:
  std::ptrdiff_t send_some(std::string_view bytes);
  bool send_raw(std::string_view bytes);
  ssize_t receive_raw(std::uint8_t* buffer, std::size_t size);
  std::string advance_upgrade();
  void watch(std::uint32_t events);

  int fd_ = -1;
  int epoll_ = -1;
  void* tag_ = nullptr;
  SSL* ssl_ = nullptr;
  State state_ = State::kClosed;
  std::uint32_t watched_ = 0;
  std::string out_;
  std::string partial_;
  std::unique_ptr<FrameStripper> websocket_;
};

}  // namespace iotcore::bench
