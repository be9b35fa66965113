#pragma once

#include "gateway/connection.h"
#include "net/proxy_header.h"

namespace iotcore::gateway {

// A connection until it is known what it is and where it belongs: the proxy's header, the TLS handshake, the choice between MQTT and HTTP, and, for MQTT, the wait
// for a whole CONNECT. Then the stream goes to its driver, together with the bytes read, of which nothing has been consumed.
class IncomingConnection final : public Connection {
 public:
  IncomingConnection(WorkerGateway& gateway, Arrival arrival);
  ~IncomingConnection() override;

  // Registers with the loop and looks at what has been read already. Once.
  void start();
  // One flight of the handshake; by WorkerGateway, within its budget.
  void continue_handshake();

  void on_io(std::uint32_t events) override;
  void on_deadline() override;
  void on_shutdown() override;

 private:
  // Of the upgrade's answer and pongs, before anything else is sent.
  static constexpr std::size_t kUnsentMax = 16 * 1024;

  enum class Protocol : std::uint8_t { kUndecided, kMqtt, kHttp };

  // True when the header is whole; the connection may be gone instead.
  bool read_proxy_header();
  void queue_handshake();
  void on_handshake_done();
  void set_connect_deadline();
  void read(bool hung_up);
  // `bytes` is all that has come and was not consumed. Gives the stream away if it can.
  void look_at(std::string_view bytes);
  bool decode_websocket(std::span<char> wire, std::size_t& payload_bytes);
  void write_websocket();
  void look_at_mqtt(std::string_view bytes);
  // Counts what waits. False if that is too much for now.
  bool count_bytes();
  Arrival leave(std::string_view bytes);
  void end();

  Arrival arrival_;                                 // its stream is in stream_
  std::unique_ptr<net::ProxyHeaderDecoder> proxy_;  // until its header is whole
  std::int64_t counted_bytes_ = 0;
  Protocol protocol_ = Protocol::kUndecided;
  bool handshaking_;
  bool handshake_queued_ = false;
  bool gone_ = false;
};

}  // namespace iotcore::gateway
