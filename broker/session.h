#pragma once

#include "base/timer_wheel.h"
#include "broker/inflight.h"
#include "broker/link.h"
#include "broker/received_ids.h"
#include "broker/session_queue.h"
#include "broker/session_rows.h"
#include "broker/subscriber_table.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::broker {

class ClientSession;
class SubscriberTable;

// What a persistent session has besides: it outlives its connection, and the process.
struct PersistentState {
  PersistentState(WorkerBroker& worker, Session& session, SessionNumber number)
      : queue(worker, session, number) {}

  SessionQueue queue;
  std::uint32_t expiry_s = 0;        // after the end of the connection
  std::int64_t disconnected_ms = 0;  // 0: connected
  std::string principal;             // of the last connection
  std::string source_ip;
  std::optional<CloseReason> disconnect_reason;  // of the last connection; nothing after a restart
  std::unique_ptr<WillRecord> will;
  TimerHandle expiry_timer;  // while offline
  TimerHandle will_timer;
};

// A client's MQTT session (MQTT5 4.1): what it subscribes to, what it has been sent and not acknowledged, what waits for it. Lives on the worker
// that owns its client id. While the client is connected it belongs to its connection, else to WorkerSessions.
class Session {
 public:
  // A subscription's place in the worker's table.
  struct Subscribed {
    std::uint32_t slot;
    std::uint32_t index;
  };

  explicit Session(std::string client_id) : client_id_(std::move(client_id)) {}

  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const std::string& client_id() const { return client_id_; }

  // The connection, or null.
  ClientSession* client() const { return client_; }

  void set_client(ClientSession* client) { client_ = client; }

  bool is_persistent() const { return persistent_ != nullptr; }

  // 0: it ends with its connection.
  SessionNumber number() const {
    return persistent_ == nullptr ? 0 : persistent_->queue.session_number();
  }

  void make_persistent(WorkerBroker& worker, SessionNumber number) {
    persistent_ = std::make_unique<PersistentState>(worker, *this, number);
  }

  // Only of a persistent one.
  PersistentState& persistent() { return *persistent_; }

  SessionQueue& queue() { return persistent_->queue; }

  Inflight& inflight() { return inflight_; }

  ReceivedIds& received() { return received_; }

  // ---- Subscriptions ----

  const std::vector<Subscribed>& subscriptions() const { return subscriptions_; }

  // Adds a subscription, or replaces the one of that filter; true if it is new.
  bool subscribe(SubscriberTable& table, std::string_view filter, Subscriber subscriber);
  bool is_subscribed(const SubscriberTable& table, std::string_view filter) const;
  // False if there is none.
  bool unsubscribe(SubscriberTable& table, std::string_view filter);
  void unsubscribe_all(SubscriberTable& table);

  // The subscriber table moved one of this session's entries.
  void subscription_moved(std::uint32_t place, std::uint32_t index) {
    subscriptions_[place].index = index;
  }

  // Of this publish, the number of the delivery scratch entry: lets overlapping subscriptions be put together.
  std::uint64_t delivery_stamp = 0;
  std::uint32_t delivery_entry = 0;

 private:
  std::size_t place_of(std::uint32_t slot) const;
  void remove(SubscriberTable& table, std::size_t place);

  ClientSession* client_ = nullptr;
  std::unique_ptr<PersistentState> persistent_;
  std::vector<Subscribed> subscriptions_;
  Inflight inflight_;
  ReceivedIds received_;
  std::string client_id_;
};

}  // namespace iotcore::broker
