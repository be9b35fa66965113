#pragma once

#include "base/clock.h"
#include "base/timer_wheel.h"
#include "broker/authorizer.h"
#include "broker/client.h"
#include "broker/client_table.h"
#include "broker/frame_cache.h"
#include "broker/inflight.h"
#include "broker/lifecycle_events.h"
#include "broker/link.h"
#include "broker/message.h"
#include "broker/mqtt/decoder.h"
#include "broker/mqtt/encoder.h"
#include "broker/mqtt/packet.h"
#include "broker/publish_context.h"
#include "broker/worker_broker.h"

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::broker {

// How a subscription wants one message, after all filters of the client that match it have been put together.
struct DeliveryOptions {
  mqtt::Qos qos = mqtt::Qos::kAtMostOnce;
  bool retain = false;                              // the RETAIN flag to send
  std::span<const std::uint32_t> subscription_ids;  // v5
};

// A client's MQTT session and its connection, which in this version live equally long.
class ClientSession final : public Client {
 public:
  ClientSession(WorkerBroker& worker, Link& link, PeerIdentity peer, bool over_websocket);
  ~ClientSession() override;

  std::size_t on_bytes(std::string_view bytes) override;
  void on_closed(CloseReason reason) override;

  // One message, if the client may have it: sent, or left waiting behind the inflight window.
  // `message` is made from `publish` if it has to wait. True if the client gets it.
  bool deliver(
      const PublishView& publish,
      std::uint64_t topic_hash,
      Message::Ref& message,
      FrameCache& frames,
      const DeliveryOptions& options
  );

  // Ends the session and closes the connection; v5 clients are told the reason code.
  void close(CloseReason reason, mqtt::Reason code);

  // The subscriber table moved one of this client's entries.
  void subscription_moved(std::uint32_t place, std::uint32_t index) {
    subscriptions_[place].index = index;
  }

  // The time of the keep-alive timer has come.
  void on_keep_alive();

  // The acknowledgement that was held back can go now.
  void inbound_complete(PacketId id, std::optional<Errc> failure);

  const std::string& client_id() const { return client_id_; }

  std::string_view principal() const { return peer_.principal; }

  bool is_connected() const { return state_ == State::kConnected; }

  // Of this publish, the number of the delivery scratch entry: lets overlapping subscriptions be put together.
  std::uint64_t delivery_stamp = 0;
  std::uint32_t delivery_entry = 0;

 private:
  enum class State : std::uint8_t { kAwaitConnect, kAuthorizing, kConnected, kClosed };

  // A subscription's place in the worker's table.
  struct Subscribed {
    std::uint32_t slot;
    std::uint32_t index;
  };

  // A QoS 1 publish whose acknowledgement waits, or has to wait for an earlier one (MQTT-4.6.0-2).
  struct InboundAck {
    PacketId id;
    bool done;
    mqtt::Reason reason;
  };

  struct Queued {
    Message::Ref message;
    mqtt::Qos qos;
    bool retain;
    std::vector<std::uint32_t> subscription_ids;
  };

  // What few connections have: aliases, messages that wait, acknowledgements that wait.
  struct Rare {
    std::vector<std::string> inbound_aliases;
    std::deque<Queued> queue;
    std::size_t queued_bytes = 0;
    std::deque<InboundAck> inbound_acks;
  };
  class PublishAck;
  class AckFactory;

  Rare& rare() {
    if (rare_ == nullptr) {
      rare_ = std::make_unique<Rare>();
    }
    return *rare_;
  }

  mqtt::DecodeContext decode_context() const;

  bool is_v5() const { return version_ == mqtt::Version::kV5; }

  OutBuffer& out() { return link_.out(); }

  template <typename Packet>
  void send(const Packet& packet) {
    char* at = out().extend(mqtt::encoded_size(version_, packet));
    mqtt::write_packet(at, version_, packet);
    link_.flush_soon();
  }

  // Each takes one whole frame. They may close.
  void on_frame(const mqtt::FrameView& frame);
  void on_connect(const mqtt::FrameView& frame);
  void on_publish(const mqtt::FrameView& frame);
  void on_ack(const mqtt::FrameView& frame);
  void on_subscribe(const mqtt::FrameView& frame);
  void on_unsubscribe(const mqtt::FrameView& frame);
  void on_disconnect(const mqtt::FrameView& frame);
  void on_fault(const mqtt::Fault& fault);

  // CONNECT, in the order of checks of mqtt.md section 2.
  Errc check_connect(const mqtt::ConnectView& connect, const char*& why);
  void authorize(const mqtt::ConnectView& connect);
  void authorized(Result<std::unique_ptr<Permissions>> answer);
  void refuse_connect(mqtt::Reason reason, std::string_view why, CloseReason close_reason);
  void accept_connect();
  void keep_connect(const mqtt::ConnectView& connect);

  // PUBLISH.
  bool resolve_alias(mqtt::PublishView& publish);
  void publish_refused(const mqtt::PublishView& publish, Errc code, std::string_view why);
  void acknowledge(PacketId id, mqtt::Reason reason);
  void send_puback(PacketId id, mqtt::Reason reason);
  void flush_inbound_acks();

  // SUBSCRIBE.
  mqtt::Reason subscribe_one(
      const mqtt::SubscriptionView& wanted, std::uint32_t subscription_id, bool& is_new
  );
  void send_retained(const mqtt::SubscriptionView& wanted, std::uint32_t subscription_id);
  bool unsubscribe_one(std::string_view filter);
  std::size_t find_subscription(std::uint32_t slot) const;
  void remove_subscription(std::size_t place);

  bool allows(Action action, std::string_view resource);

  bool allows(Action action, std::string_view resource, std::uint64_t hash) {
    return permissions_ == nullptr || permissions_->allows(action, resource, hash);
  }

  bool send_publish(FrameCache& frames, const DeliveryOptions& options);
  void drain_queue();
  void arm_keep_alive();
  // Everything that the end of a session entails, once.
  void end_session(CloseReason reason);
  LifecycleSubject lifecycle_subject() const;

  WorkerBroker& worker_;
  Link& link_;
  PeerIdentity peer_;
  std::string client_id_;
  std::unique_ptr<Permissions> permissions_;  // null: may do everything
  std::unique_ptr<Rare> rare_;
  std::vector<Subscribed> subscriptions_;
  Inflight inflight_;
  Message::Ref will_;
  MonotonicTime last_packet_ = {};
  TimerHandle keep_alive_timer_;
  ClientHandle handle_;
  std::uint64_t session_number_ = 0;
  std::uint32_t packet_bytes_max_ = 0xFFFFFFFF;  // the client's Maximum Packet Size
  std::uint16_t keep_alive_s_ = 0;
  std::uint16_t send_window_ = 65'535;  // the client's Receive Maximum, or our limit
  mqtt::Version version_ = mqtt::Version::kNone;
  State state_ = State::kAwaitConnect;
  bool over_websocket_;
  bool assigned_client_id_ = false;
  bool problem_information_ = true;
  bool session_expiry_wanted_ = false;
  bool keep_will_ = true;
  bool server_keep_alive_ = false;
  bool ended_ = false;
  bool paused_ = false;  // nothing is taken from the socket for now
};

}  // namespace iotcore::broker
