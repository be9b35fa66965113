#pragma once

#include "broker/client_session.h"
#include "broker/publish_context.h"
#include "broker/worker_broker.h"

#include <cstdint>
#include <memory>
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
class ClientSession::HeldPacket final : public PendingAck {
 public:
  template <typename Packet>
  HeldPacket(ClientSession& client, const Packet& packet, std::vector<RetainedWanted> retained)
      : PendingAck(&HeldPacket::on_complete),
        worker_(&client.worker_),
        lifeline_(client.worker_.lifeline()),
        client_(client.handle_),
        retained_(std::move(retained)),
        is_connack_(std::is_same_v<Packet, mqtt::Connack>) {
    mqtt::encode(frame_, client.version_, packet);
  }

 private:
  static void on_complete(PendingAck& self, std::optional<Errc> failure) {
    auto* held = static_cast<HeldPacket*>(&self);
    if (WorkerBroker::current() == held->worker_) {
      held->finish(failure);
    } else if (!held->lifeline_->post([held, failure] { held->finish(failure); })) {
      delete held;
    }
  }

  void finish(std::optional<Errc> failure) {
    const std::unique_ptr<HeldPacket> own(this);
    ClientSession* client = worker_->clients().find(client_);
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

  WorkerBroker* worker_;  // looked at only on its thread: a hold may outlive it
  std::shared_ptr<WorkerLifeline> lifeline_;
  ClientHandle client_;
  std::string frame_;
  std::vector<RetainedWanted> retained_;
  bool is_connack_;
};

}  // namespace iotcore::broker
