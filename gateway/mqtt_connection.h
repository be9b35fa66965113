#pragma once

#include "broker/client.h"
#include "broker/link.h"
#include "gateway/connection.h"

#include <memory>

namespace iotcore::gateway {

// An MQTT connection on its session's worker: moves bytes between the stream and a broker::Client. Reads into the worker's shared buffer and keeps
// only what the client did not take (an unfinished packet); what the client writes leaves at the end of the turn in one write.
// Idle, it owns no buffer at all.
class MqttConnection final : public broker::Link, public Connection {
 public:
  MqttConnection(WorkerGateway& gateway, Arrival& arrival);
  ~MqttConnection() override;

  // Registers with the loop, makes the client and offers it what was read before. Once.
  void start(broker::PeerIdentity peer, std::string_view bytes);

  // broker::Link
  void close(broker::CloseReason reason) override;
  void set_reading(bool on) override;
  void close_at(MonotonicTime at, broker::CloseReason reason) override;
  broker::LinkAddress local_address() const override;

  // By WorkerGateway at the end of the turn.
  void flush();
  // And before, when there is much to write.
  void flush_early();

  void on_io(std::uint32_t events) override;
  void on_deadline() override;
  void on_shutdown() override;

 private:
  // open -> closing (output still to be written) -> lingering (our side shut, the peer's not yet) -> gone
  enum class State : std::uint8_t { kOpen, kClosing, kLingering, kGone };

  struct Life {
    MonotonicTime ends = MonotonicTime::max();
    TimerHandle timer = {};
  };

  // Bytes that the client did not take.
  struct Kept;

  struct KeptDeleter {
    void operator()(Kept* kept) const;
  };

  void queue_flush() override;
  void queue_early_flush() override;
  void on_life_over(broker::CloseReason reason);
  void read();
  // Reads once. False if there is nothing more to do for now.
  bool read_once();
  void on_read(std::string_view bytes, bool bytes_are_kept);
  void keep(std::string_view bytes);
  std::span<char> reserve_kept(std::size_t bytes);
  void request_read();
  bool decode_websocket(std::span<char> wire, std::size_t& payload_bytes);

  // True if all is out.
  bool write_out();
  bool write_websocket();
  bool on_written(const net::WriteResult& result);
  void wait_for_room();

  void end_client(broker::CloseReason reason);
  void on_lost(broker::CloseReason reason);
  void linger();
  void discard_input();

  std::unique_ptr<broker::Client> client_;
  std::unique_ptr<net::WebSocketState> websocket_;
  std::unique_ptr<Kept, KeptDeleter> kept_;
  std::unique_ptr<Life> life_;  // of the few whose end is known
  State state_ = State::kOpen;
  broker::CloseReason reason_ = broker::CloseReason::kConnectionLost;
  bool reading_ : 1 = true;
  bool read_requested_ : 1 = false;
  bool offer_kept_ : 1 = false;  // set_reading(true) came after the client had left bytes
  bool hung_up_ : 1 = false;     // the peer has closed its side, though data may still be there
  bool watching_writable_ : 1 = false;
  bool stalled_ : 1 = false;
};

}  // namespace iotcore::gateway
