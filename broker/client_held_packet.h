#pragma once

#include "broker/client_session.h"
#include "broker/worker_ack.h"

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace iotcore::broker {

// Retained messages that a new subscription is to get.
struct ClientSession::RetainedWanted {
  std::string filter;
  mqtt::Qos qos;
  std::uint32_t subscription_id;
};

// A CONNACK, SUBACK or UNSUBACK that waits until what it says of a persistent session is kept. Nothing is read from the client before its CONNACK is
// out; retained messages follow their SUBACK.
class ClientSession::HeldPacket final : public WorkerAck<HeldPacket> {
 public:
  template <typename Packet>
  HeldPacket(ClientSession& client, const Packet& packet, std::vector<RetainedWanted> retained)
      : WorkerAck(client.worker_),
        client_(client.handle_),
        retained_(std::move(retained)),
        is_connack_(std::is_same_v<Packet, mqtt::Connack>) {
    mqtt::encode(frame_, client.version_, packet);
  }

  void finish(std::optional<Errc> failure) {
    ClientSession* client = worker().clients().find(client_);
    if (client == nullptr || !client->is_connected()) {
      return;
    }
    if (failure) {
      client->close(
          CloseReason::kServerError,
          is_connack_ ? mqtt::Reason::kServerUnavailable : mqtt::Reason::kUnspecifiedError,
          "what is kept of the session could not be written"
      );
      return;
    }
    client->out().append(frame_);
    if (client->traced_) [[unlikely]] {
      client->trace_packet(frame_, mqtt::Sender::kServer);
    }
    client->link_.flush_soon();
    if (is_connack_) {
      client->connack_held_ = false;
      client->paused_ = false;
      client->link_.set_reading(true);
    }
    for (const RetainedWanted& wanted : retained_) {
      client->send_retained(wanted.filter, wanted.qos, wanted.subscription_id);
    }
  }

 private:
  ClientHandle client_;
  std::string frame_;
  std::vector<RetainedWanted> retained_;
  bool is_connack_;
};

}  // namespace iotcore::broker
