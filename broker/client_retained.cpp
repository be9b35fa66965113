// The part of ClientSession that sends retained messages for new subscriptions (MQTT5 3.3.1.3).
#include "broker/client_session.h"
#include "broker/retained.h"
#include "broker/retained_replay.h"
#include "broker/topic.h"

#include <algorithm>

namespace iotcore::broker {
namespace {

// So much is unsent at a time, so that what is published meanwhile waits behind little.
constexpr std::size_t kUnsentMax = 256 << 10;
constexpr std::uint64_t kWaitingMax = 100;

}  // namespace

void ClientSession::send_retained(
    std::string_view filter, mqtt::Qos qos, std::uint32_t subscription_id
) {
  if (state_ != State::kConnected) {
    return;
  }
  RetainedMessages& retained = worker_.shared().retained();
  if (!has_wildcard(filter)) {
    if (const Message::Ref kept = retained.find(filter)) {
      send_retained_message(kept, qos, subscription_id);
    }
  } else if (worker_.options().retained_to_wildcards && retained.count() != 0) {
    std::unique_ptr<RetainedReplay>& replay = rare().retained;
    if (replay == nullptr) {
      replay = std::make_unique<RetainedReplay>(retained);
    }
    replay->want(filter, qos, subscription_id);
    continue_retained();
  }
}

void ClientSession::send_retained_message(
    const Message::Ref& kept, mqtt::Qos qos, std::uint32_t subscription_id
) {
  Message::Ref message = kept;
  DeliveryOptions options;
  options.qos = std::min(kept->view().qos, qos);
  options.retain = true;
  if (subscription_id != 0) {
    options.subscription_ids = {&subscription_id, 1};
  }
  worker_.deliver_to(*session_, kept->view(), message, options);
}

// At QoS 1 and 2 it is acknowledgements that make room.
bool ClientSession::has_room_for_retained(mqtt::Qos qos) const {
  return qos == Qos::kAtMostOnce ||
         (session_->is_persistent() ? session_->queue().waiting_messages() < kWaitingMax
                                    : takes_at_once(qos));
}

void ClientSession::continue_retained() {
  const std::size_t unsent_max = std::min(kUnsentMax, worker_.options().out_buffer_bytes_max);
  while (state_ == State::kConnected && rare_ != nullptr && rare_->retained != nullptr) {
    const RetainedReplay::Item* const next = rare_->retained->peek();
    if (next == nullptr) {
      rare_->retained.reset();
      return;
    }
    if (out().size() > unsent_max) {
      link_.tell_when_sent();
      return;
    }
    const RetainedReplay::Item item = *next;
    if (!has_room_for_retained(std::min(item.message->view().qos, item.qos))) {
      return;  // until on_bytes() has seen acknowledgements
    }
    rare_->retained->pop();
    send_retained_message(item.message, item.qos, item.subscription_id);
  }
}

void ClientSession::on_sent() {
  continue_retained();
}

}  // namespace iotcore::broker
