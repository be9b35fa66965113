#pragma once

#include "gateway/connection.h"
#include "gateway/http_handler.h"
#include "net/http_codec.h"

#include <memory>
#include <optional>
#include <string>

namespace iotcore::gateway {

// An HTTP/1.1 connection: one request at a time, those behind it wait unread. Becomes MQTT over WebSocket when asked to and allowed.
class HttpConnection final : public Connection {
 public:
  HttpConnection(WorkerGateway& gateway, Arrival& arrival);
  ~HttpConnection() override;

  // Registers with the loop and reads what came before. Once.
  void start(Arrival arrival);

  // The answer to request number `request`; others come too late.
  void on_reply(std::uint64_t request, net::HttpResponse response);
  void on_upgrade_answer(std::uint64_t request, Result<broker::PeerIdentity> answer);

  void on_io(std::uint32_t events) override;
  void on_deadline() override;
  void on_shutdown() override;

 private:
  // reading -> handling -> reading … -> closing (last output still to be written) -> lingering -> gone
  enum class State : std::uint8_t { kReading, kHandling, kClosing, kLingering, kGone };

  void read();
  void parse();
  void on_request(net::HttpRequest request);
  void start_upgrade(const net::HttpRequest& request);
  void become_mqtt(broker::PeerIdentity peer);
  void refuse(const Error& error);
  void respond(const net::HttpResponse& response);
  // Writes what it can; goes on with the next request, or to the end, when all is out.
  void write();
  void on_written_all();
  void linger();
  void discard_input();
  void end();
  void set_deadline_in(Duration duration);

  std::uint64_t number_;
  std::uint64_t request_ = 0;
  broker::PeerIdentity peer_;
  std::optional<net::HttpRequestParser> parser_;  // while a request is being read
  std::string in_;
  std::string out_;
  std::size_t out_at_ = 0;
  std::unique_ptr<net::HttpResponse> upgrade_;  // the 101 that waits for permission
  State state_ = State::kReading;
  bool responded_ = false;  // while handling: the response is being written
  bool keep_alive_ = true;
  bool head_only_ = false;
  bool continued_ = false;
  bool unread_ = false;
  bool hung_up_ = false;
  bool watching_writable_ = false;
};

}  // namespace iotcore::gateway
