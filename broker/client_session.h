#pragma once

#include "base/clock.h"
#include "base/rate_limit.h"
#include "base/timer_wheel.h"
#include "broker/authorizer.h"
#include "broker/client.h"
#include "broker/client_table.h"
#include "broker/client_traces.h"
#include "broker/frame_cache.h"
#include "broker/lifecycle_events.h"
#include "broker/link.h"
#include "broker/message.h"
#include "broker/mqtt/decoder.h"
#include "broker/mqtt/encoder.h"
#include "broker/mqtt/packet.h"
#include "broker/publish_context.h"
#include "broker/session.h"
#include "broker/shared_unacked.h"
#include "broker/topic_aliases.h"
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

struct ConnectionInfo;
struct DirectMessage;
struct FilterView;
class RetainedReplay;

// How a subscription wants one message, after all filters of the client that match it have been put together.
struct DeliveryOptions {
  mqtt::Qos qos = mqtt::Qos::kAtMostOnce;
  bool retain = false;                                // the RETAIN flag to send
  std::span<const std::uint32_t> subscription_ids;    // v5
  std::uint32_t share_slot = SubscriberTable::kNone;  // the shared subscription by which it comes
};

// One connection of a client, with the session that it has or has resumed.
class ClientSession final : public Client {
 public:
  ClientSession(WorkerBroker& worker, Link& link, PeerIdentity peer, bool over_websocket);
  ~ClientSession() override;

  std::size_t on_bytes(std::string_view bytes) override;
  void on_sent() override;
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

  // Whether a message of that QoS would leave in this turn.
  bool takes_at_once(mqtt::Qos qos) const;
  // How much the client has been given and not taken yet; for comparison.
  std::size_t load() const;

  // Ends the session and closes the connection; v5 clients are told the reason code, and `why` if it fits.
  void close(CloseReason reason, mqtt::Reason code, std::string_view why = {});

  // ---- For the API ----

  ConnectionInfo info() const;
  void close_by_api(bool clean_session, bool prevent_will);
  // Events go to the worker's trace of this client from now on, until that ends.
  void start_trace(std::string_view client_id);
  void send_direct(const DirectMessage& direct, Function<void(Status)> done);

  // The time for which the client was not read is over.
  void end_throttle();

  std::string_view client_id() const {
    return session_ == nullptr ? std::string_view() : session_->client_id();
  }

  // The time of the keep-alive timer has come.
  void on_keep_alive();

  // Null before CONNECT and after the end.
  Session* session() const { return session_.get(); }

  // ---- For the session's queue ----

  // Whether a message at QoS 1 or 2 with that number may be sent now: within the client's window, and no more bytes than may be unsent.
  bool takes_more(std::uint64_t sequence) const;

  bool may_receive(std::string_view topic, std::uint64_t topic_hash) {
    return allows(Action::kReceive, topic, topic_hash);
  }

  // Within the client's Maximum Packet Size.
  bool fits(const FrameCache& frames, const DeliveryOptions& options) const;
  void send_queued(FrameCache& frames, const DeliveryOptions& options, PacketId id, bool again);
  void send_pubrel(PacketId id);
  // What the session changed is in the store, or could not be kept.
  void on_committed(const CommitMark& mark, bool kept);

  std::string_view principal() const { return principal_; }

  bool is_connected() const { return state_ == State::kConnected; }

  // Whether its will has a row of its own.
  bool keeps_lone_will() const { return lone_will_; }

 private:
  enum class State : std::uint8_t { kAwaitConnect, kAuthorizing, kConnected, kClosed };

  // A publish whose PUBACK or PUBREC waits, or has to wait for an earlier one: all answers to the publishes of this connection go through one
  // queue, in the order in which these came (MQTT-4.6.0-2, -3).
  struct InboundAck {
    PacketId id;
    mqtt::Qos qos;
    bool done;
    mqtt::Reason reason;
    const char* why = nullptr;  // of a refusal
    bool released = false;      // PUBREL has come already
  };

  struct Queued {
    Message::Ref message;
    mqtt::Qos qos;
    bool retain;
    std::vector<std::uint32_t> subscription_ids;
    std::uint32_t share_slot;
  };

  // A message of the API that the client has not acknowledged. Until then its identifier is in use, whether anybody still waits for that or not.
  struct Direct {
    PacketId id;
    std::uint16_t number;
    TimerHandle timer;
    Function<void(Status)> done;  // empty: its time is over
  };

  // What few connections have: aliases, messages that wait, acknowledgements that wait.
  struct Rare {
    Rare();
    ~Rare();

    InboundAliases inbound_aliases;
    std::deque<Queued> queue;
    std::size_t queued_bytes = 0;
    std::deque<InboundAck> inbound_acks;
    SharedUnacked shared_unacked;
    std::unique_ptr<OutboundAliases> outbound_aliases;
    std::vector<Direct> direct;
    std::unique_ptr<RetainedReplay> retained;
    std::string traced_as;  // the client id, which a refused CONNECT has too
    RateLimit publishes;
    RateLimit publish_bytes;
  };
  class PublishAck;
  class AckFactory;
  class HeldPacket;
  struct RetainedWanted;

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
    const std::size_t size = mqtt::encoded_size(version_, packet);
    char* at = out().extend(size);
    mqtt::write_packet(at, version_, packet);
    if (traced_) [[unlikely]] {
      trace_packet({at, size}, mqtt::Sender::kServer);
    }
    link_.flush_soon();
  }

  // Each takes one whole frame. They may close.
  void on_frame(const mqtt::FrameView& frame);
  void on_connect(const mqtt::FrameView& frame);
  void on_publish(const mqtt::FrameView& frame);
  void on_ack(const mqtt::FrameView& frame);
  void on_pubrec(const mqtt::Ack& ack);
  void on_pubrel(PacketId id);
  void on_finished(const Inflight::Answer& answer, std::uint64_t oldest);
  void on_subscribe(const mqtt::FrameView& frame);
  void on_unsubscribe(const mqtt::FrameView& frame);
  void on_disconnect(const mqtt::FrameView& frame);
  void on_fault(const mqtt::Fault& fault);

  // CONNECT, in the order of checks of mqtt.md section 2.
  Errc check_connect(const mqtt::ConnectView& connect, const char*& why);
  void authorize(const mqtt::ConnectView& connect);
  void authorized(Result<std::unique_ptr<Permissions>> answer);
  // CONNACK with that code, if it has one to say.
  void refuse(mqtt::Reason reason, std::string_view why);
  void refuse_connect(mqtt::Reason reason, std::string_view why, CloseReason close_reason);
  void describe_connection(mqtt::PropertiesView& properties, std::string& response_information)
      const;
  void accept_connect();
  void keep_connect(const mqtt::ConnectView& connect);
  void keep_will(const mqtt::ConnectView& connect);

  // PUBLISH.
  bool resolve_alias(mqtt::PublishView& publish);
  // Whether the publish is one that the client may send; otherwise it has been answered.
  bool may_publish(const mqtt::PublishView& publish);
  // False: above the rate, to be dropped. The client may have to wait until it is read again.
  bool within_rate(const mqtt::PublishView& publish);
  void throttle(Duration wait);

  // The API's messages.
  std::optional<PacketId> free_direct_id() const;
  bool is_direct_id(PacketId id) const;
  void on_direct_timeout(std::uint16_t number);
  void on_direct_puback(const mqtt::Ack& ack);
  void fail_direct_messages();
  void publish_refused(const mqtt::PublishView& publish, Errc code, const char* why);
  bool is_repeated(PacketId id);
  // The last PUBREC of that identifier that waits to be sent, or null.
  InboundAck* find_receipt(PacketId id);
  void acknowledge(PacketId id, mqtt::Qos qos, mqtt::Reason reason, const char* why = nullptr);
  // The acknowledgement that was held back can go now, if it is one of this connection.
  void inbound_complete(PacketId id, mqtt::Qos qos, mqtt::Reason reason, const char* why);
  void answer_publish(const InboundAck& ack);
  void send_answer(const InboundAck& ack);
  // `why` goes along if the client wants reasons and takes a packet of that size.
  void send_ack(mqtt::PacketType type, PacketId id, mqtt::Reason reason, const char* why = nullptr);
  template <typename Packet>
  void explain(Packet& packet, std::string_view why) const;
  void flush_inbound_acks();

  // SUBSCRIBE.
  bool answer_fits(std::size_t codes);
  bool group_has_room(const FilterView& filter) const;
  mqtt::Reason subscribe_one(
      const mqtt::SubscriptionView& wanted, std::uint32_t subscription_id, bool& is_new
  );
  void send_retained(std::string_view filter, mqtt::Qos qos, std::uint32_t subscription_id);
  void send_retained_message(
      const Message::Ref& kept, mqtt::Qos qos, std::uint32_t subscription_id
  );
  bool has_room_for_retained(mqtt::Qos qos) const;
  void continue_retained();
  bool unsubscribe_one(std::string_view filter);

  bool allows(Action action, std::string_view resource);

  bool allows(Action action, std::string_view resource, std::uint64_t hash) {
    const bool allowed = permissions_ == nullptr || permissions_->allows(action, resource, hash);
    if (traced_) [[unlikely]] {
      trace_decision(action, resource, allowed);
    }
    return allowed;
  }

  // Of a client that somebody looks at; client_trace.cpp. One that is not costs a look at traced_.
  void trace_connect(const mqtt::ConnectView& connect);
  void trace_packet(std::string_view bytes, mqtt::Sender sender);
  void trace_delivery(const PublishView& publish, const FrameCache::Receiver& receiver);
  void trace_decision(Action action, std::string_view resource, bool allowed);
  void trace_dropped(std::string_view topic, std::string_view why);
  void trace(ClientTraceEvent::Kind kind, std::string_view what, std::string detail);

  // `message` is made if the client may leave it to other members of a shared subscription.
  bool send_publish(FrameCache& frames, const DeliveryOptions& options, Message::Ref& message);
  // The alias with which a publish leaves, if the client takes any.
  void use_alias(const FrameCache& frames, FrameCache::Receiver& receiver);
  bool make_room(std::size_t bytes);
  void drain_queue();
  // There is room in the client's window again.
  void send_waiting();
  void arm_keep_alive();
  // What this member of shared subscriptions leaves to the others.
  std::vector<SharedMessage> take_shared_messages();
  // Everything that the end of a session entails, once.
  void end_session(CloseReason reason);
  void leave_session(CloseReason reason);
  enum class Found : std::uint8_t { kNone, kResumed, kDiscarded };
  // What was there of the client, which is this connection's now or has been ended.
  Found find_session();
  void keep_session();
  LifecycleSubject lifecycle_subject() const;

  WorkerBroker& worker_;
  Link& link_;
  std::unique_ptr<PeerIdentity> arriving_;  // until CONNECT is answered; what stays of it:
  std::string principal_;
  std::string source_ip_;
  std::unique_ptr<Permissions> permissions_;  // null: may do everything
  std::unique_ptr<Rare> rare_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<WillRecord> will_;
  MonotonicTime last_packet_ = {};
  TimerHandle keep_alive_timer_;
  ClientHandle handle_;
  std::uint64_t session_number_ = 0;
  std::int64_t connected_ms_ = 0;
  std::uint32_t session_expiry_s_ = 0;
  std::uint32_t packet_bytes_max_ = 0xFFFFFFFF;  // the client's Maximum Packet Size
  std::uint16_t source_port_ = 0;
  std::uint16_t keep_alive_s_ = 0;
  std::uint16_t send_window_ = 65'535;  // the client's Receive Maximum, or our limit
  mqtt::Version version_ = mqtt::Version::kNone;
  State state_ = State::kAwaitConnect;
  bool over_websocket_;
  bool assigned_client_id_ = false;
  bool problem_information_ = true;
  bool clean_start_ = true;
  bool session_expiry_cut_ = false;  // to our maximum
  bool resumed_ = false;             // goes on with the session of an earlier connection
  bool keep_will_ = true;
  bool lone_will_ = false;
  bool connack_held_ = false;  // MQTT-3.2.0-1: nothing may be sent before it
  bool server_keep_alive_ = false;
  bool ended_ = false;
  bool paused_ = false;     // nothing is taken from the socket for now
  bool throttled_ = false;  // because of a rate
  bool traced_ = false;
  bool response_information_ = false;
  std::uint16_t alias_out_maximum_ = 0;
  std::uint16_t direct_count_ = 0;
};

}  // namespace iotcore::broker
