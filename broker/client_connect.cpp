// The CONNECT part of ClientSession (MQTT5 3.1, 3.2).
#include "base/crypto.h"
#include "base/log.h"
#include "broker/client_held_packet.h"
#include "broker/client_session.h"
#include "broker/lifecycle_events.h"
#include "broker/message_limits.h"
#include "broker/mqtt/encoder.h"
#include "broker/reserved_topics.h"
#include "broker/topic.h"
#include "broker/worker_sessions.h"
#include "broker/workers.h"

#include <algorithm>

namespace iotcore::broker {
namespace {

// Of the client ids that we choose.
const std::string kAssignedPrefix = "$GEN/";

}  // namespace

void ClientSession::on_connect(const mqtt::FrameView& frame) {
  if (state_ != State::kAwaitConnect) {
    on_fault({Errc::kProtocolError, "MQTT-3.1.0-2: a second CONNECT"});
    return;
  }
  mqtt::ConnectView connect;
  const mqtt::Fault fault = mqtt::decode_connect(frame, decode_context(), connect);
  version_ = connect.version == mqtt::Version::kNone ? mqtt::Version::kV3 : connect.version;
  if (fault) {
    refuse_connect(mqtt::reason_of(fault.code), fault.why, CloseReason::kClientError);
    return;
  }
  trace_connect(connect);
  problem_information_ =
      connect.properties.number_or(mqtt::Property::kRequestProblemInformation, 1) != 0;
  packet_bytes_max_ =
      connect.properties.number_or(mqtt::Property::kMaximumPacketSize, packet_bytes_max_);
  if (const auto refusal = worker_.admission().check(connect, worker_.now())) {
    if (refusal->limit) {
      worker_.limits().reached(*refusal->limit);
    }
    refuse_connect(refusal->reason, refusal->why, CloseReason::kThrottled);
    return;
  }
  const char* why = nullptr;
  if (const Errc code = check_connect(connect, why); why != nullptr) {
    refuse_connect(mqtt::reason_of(code), why, CloseReason::kClientError);
    return;
  }
  keep_connect(connect);
  authorize(connect);
}

Errc ClientSession::check_connect(const mqtt::ConnectView& connect, const char*& why) {
  const BrokerOptions& options = worker_.options();
  if (connect.properties.has(mqtt::Property::kAuthenticationMethod)) {
    why = "enhanced authentication is not supported";
    return Errc::kBadAuthenticationMethod;
  }
  if (connect.client_id.empty() && connect.version == mqtt::Version::kV3 && !connect.clean_start) {
    why = "MQTT-3.1.3-8: an empty client id needs clean session";
    return Errc::kClientIdNotValid;
  }
  // One that we assigned may come back (MQTT-3.1.3-7).
  const bool reserved =
      connect.client_id.starts_with('$') && !connect.client_id.starts_with(kAssignedPrefix);
  if (connect.client_id.size() > options.client_id_bytes_max || reserved) {
    why = "the client id is too long or begins with $";
    return Errc::kClientIdNotValid;
  }
  if (connect.will) {
    if (!is_publish_topic(connect.will->topic, topic_limits(options)) ||
        !client_may_publish(connect.will->topic)) {
      why = "the will topic is not one to publish to";
      return Errc::kTopicNameInvalid;
    }
    if (static_cast<std::uint8_t>(connect.will->qos) > options.qos_max) {
      why = "MQTT-3.2.2-12: the QoS of the will is above Maximum QoS";
      return Errc::kQosNotSupported;
    }
    if (const auto refusal =
            check_message(connect.will->payload, connect.will->properties, options)) {
      why = refusal->why;
      return refusal->code;
    }
  }
  return Errc::kInternal;
}

// Takes over what outlives the packet.
void ClientSession::keep_connect(const mqtt::ConnectView& connect) {
  const BrokerOptions& options = worker_.options();
  std::string client_id(connect.client_id);
  if (client_id.empty()) {
    // One that belongs to this worker, so that the client is led here when it comes back with it.
    do {
      client_id = kAssignedPrefix + new_uuid();
    } while (worker_.shared().workers().owner_of(client_id) != worker_.id());
    assigned_client_id_ = true;
  }
  session_ = std::make_unique<Session>(std::move(client_id));
  keep_alive_s_ = connect.keep_alive_s;
  if (keep_alive_s_ > options.keep_alive_s_max ||
      (keep_alive_s_ == 0 && options.keep_alive_s_max != 65'535)) {
    keep_alive_s_ = options.keep_alive_s_max;
    server_keep_alive_ = true;
  }
  if (keep_alive_s_ != 0 && keep_alive_s_ < options.keep_alive_s_min) {
    keep_alive_s_ = options.keep_alive_s_min;
    server_keep_alive_ = true;
  }
  const mqtt::PropertiesView& properties = connect.properties;
  response_information_ = properties.number_or(mqtt::Property::kRequestResponseInformation, 0) != 0;
  alias_out_maximum_ = static_cast<std::uint16_t>(std::min<std::uint32_t>(
      properties.number_or(mqtt::Property::kTopicAliasMaximum, 0), options.topic_alias_out_maximum
  ));
  send_window_ = static_cast<std::uint16_t>(std::min<std::uint32_t>(
      properties.number_or(mqtt::Property::kReceiveMaximum, 65'535), options.inflight_max
  ));
  clean_start_ = connect.clean_start;
  const std::uint32_t expiry_s =
      is_v5() ? properties.number_or(mqtt::Property::kSessionExpiryInterval, 0)
              : (clean_start_ ? 0 : options.session_expiry_s);
  session_expiry_s_ = std::min(expiry_s, options.session_expiry_s_max);
  session_expiry_cut_ = session_expiry_s_ != expiry_s;
  keep_will(connect);
}

void ClientSession::keep_will(const mqtt::ConnectView& connect) {
  if (connect.will) {
    std::string forwarded;
    mqtt::append_forwarded_properties(forwarded, connect.will->properties);
    PublishView will;
    will.topic = connect.will->topic;
    will.payload = connect.will->payload;
    will.properties = forwarded;
    will.qos = connect.will->qos;
    will.retain = connect.will->retain;
    will.origin = Origin::kWill;
    will_ = std::make_unique<WillRecord>();
    will_->delay_s = connect.will->properties.number_or(mqtt::Property::kWillDelayInterval, 0);
    will_->expiry_s = connect.will->properties.number(mqtt::Property::kMessageExpiryInterval);
    will_->message = Message::make(will);
  }
}

void ClientSession::authorize(const mqtt::ConnectView& connect) {
  ConnectRequest request{*arriving_};
  request.worker = worker_.id();
  request.client_id = client_id();
  request.user_name = connect.user_name.value_or(std::string_view());
  request.password = connect.password.value_or(std::string_view());
  request.persistent_connect = session_expiry_s_ != 0;
  request.has_will = connect.will.has_value();
  request.over_websocket = over_websocket_;
  state_ = State::kAuthorizing;
  worker_.shared().authorizer().connect(
      request,
      [&worker = worker_, handle = handle_](Result<std::unique_ptr<Permissions>> answer) {
        // The client may have gone while the answer was on its way.
        if (ClientSession* session = worker.clients().find(handle); session != nullptr) {
          session->authorized(std::move(answer));
        }
      }
  );
  if (state_ == State::kAuthorizing) {
    paused_ = true;
    link_.set_reading(false);
  }
}

void ClientSession::authorized(Result<std::unique_ptr<Permissions>> answer) {
  if (state_ != State::kAuthorizing) {
    return;
  }
  arriving_.reset();
  if (!answer) {
    const Error& error = answer.error();
    log(worker_.refusal_log_level(),
        "client.refused",
        {{"client_id", client_id()}, {"principal", principal_}, {"why", error.message()}});
    if (error.code() == Errc::kNotAuthorized) {
      session_number_ = worker_.next_session_number();
      publish_connect_failed(worker_, lifecycle_subject());
    }
    refuse_connect(mqtt::reason_of(error.code()), error.message(), CloseReason::kAuthError);
    return;
  }
  permissions_ = std::move(*answer);
  if (traced_) [[unlikely]] {
    trace(ClientTraceEvent::Kind::kAllowed, "Connect", {});
  }
  if (permissions_ != nullptr) {
    if (const std::string_view found = permissions_->principal(); !found.empty()) {
      principal_ = found;
    }
    if (const auto end = permissions_->session_end()) {
      link_.close_at(end->at, end->reason);
    }
  }
  if (will_) {
    const PublishView& will = will_->message->view();
    if (!allows(Action::kPublish, will.topic) ||
        (will.retain && !allows(Action::kRetainPublish, will.topic))) {
      session_number_ = worker_.next_session_number();
      publish_connect_failed(worker_, lifecycle_subject());
      refuse_connect(
          mqtt::Reason::kNotAuthorized, "not allowed to publish the will", CloseReason::kAuthError
      );
      return;
    }
  }
  accept_connect();
}

void ClientSession::refuse_connect(
    mqtt::Reason reason, std::string_view why, CloseReason close_reason
) {
  worker_.counters().connects_refused.add();
  if (traced_) [[unlikely]] {
    trace(ClientTraceEvent::Kind::kDenied, "Connect", std::string(why));
  }
  // Nothing is said to who has not even begun with a CONNECT (MQTT5 4.13), nor where 3.1.1 has no code for it.
  const bool is_silent =
      !worker_.options().answer_refused && close_reason == CloseReason::kAuthError;
  if (version_ == mqtt::Version::kV5 || !is_silent) {
    refuse(reason, why);
  }
  end_session(close_reason);
  state_ = State::kClosed;
  link_.close(close_reason);
}

void ClientSession::refuse(mqtt::Reason reason, std::string_view why) {
  const bool has_code =
      (is_v5() && mqtt::is_reason_allowed(reason, mqtt::PacketType::kConnack, mqtt::Sender::kServer)
      ) ||
      (version_ == mqtt::Version::kV3 && mqtt::v3_connack_code(reason));
  if (has_code) {
    mqtt::Connack connack;
    connack.reason = reason;
    const std::string& elsewhere = worker_.options().server_reference;
    const bool redirects =
        reason == mqtt::Reason::kUseAnotherServer || reason == mqtt::Reason::kServerMoved;
    if (is_v5() && redirects && !elsewhere.empty()) {
      connack.properties.set(mqtt::Property::kServerReference, elsewhere);
    } else if (is_v5()) {
      explain(connack, why);
    }
    if (mqtt::encoded_size(version_, connack) <= packet_bytes_max_) {
      send(connack);
    }
  }
}

// What CONNACK says to a client of version 5; it points into response_information.
void ClientSession::describe_connection(
    mqtt::PropertiesView& properties, std::string& response_information
) const {
  const BrokerOptions& options = worker_.options();
  if (options.receive_maximum != 65'535) {
    properties.set(mqtt::Property::kReceiveMaximum, options.receive_maximum);
  }
  if (options.qos_max < 2) {
    properties.set(mqtt::Property::kMaximumQos, options.qos_max);
  }
  properties.set(
      mqtt::Property::kMaximumPacketSize, static_cast<std::uint32_t>(options.packet_bytes_max)
  );
  if (options.topic_alias_maximum != 0) {
    properties.set(mqtt::Property::kTopicAliasMaximum, options.topic_alias_maximum);
  }
  if (!options.subscription_identifiers) {
    properties.set(mqtt::Property::kSubscriptionIdentifierAvailable, 0);
  }
  if (response_information_ && !options.response_prefix.empty()) {
    response_information.append(options.response_prefix).append("/").append(client_id());
    properties.set(mqtt::Property::kResponseInformation, response_information);
  }
  if (assigned_client_id_) {
    properties.set(mqtt::Property::kAssignedClientIdentifier, client_id());
  }
  if (session_expiry_cut_) {
    properties.set(mqtt::Property::kSessionExpiryInterval, session_expiry_s_);
  }
  if (server_keep_alive_) {
    properties.set(mqtt::Property::kServerKeepAlive, keep_alive_s_);
  }
}

void ClientSession::accept_connect() {
  mqtt::Connack connack;
  std::string response_information;
  if (is_v5()) {
    describe_connection(connack.properties, response_information);
  }
  if (mqtt::encoded_size(version_, connack) > packet_bytes_max_) {
    // MQTT-3.1.2-24: a client that takes no CONNACK cannot be served.
    refuse_connect(mqtt::Reason::kPacketTooLarge, {}, CloseReason::kClientError);
    return;
  }
  if (ClientSession* old = worker_.clients().find_by_id(client_id()); old != nullptr) {
    old->close(CloseReason::kDuplicateClientId, mqtt::Reason::kSessionTakenOver);
  }
  const Found found = find_session();
  worker_.clients().bind_id(handle_);
  session_number_ = worker_.next_session_number();
  connected_ms_ = to_epoch_ms(worker_.shared().clock().wall());
  state_ = State::kConnected;
  worker_.counters().connects.add();

  resumed_ = found == Found::kResumed;
  connack.session_present = resumed_;
  if (found == Found::kDiscarded) {
    // After a crash the old session may not be there again.
    connack_held_ = true;
    worker_.turn().durable_rows((new HeldPacket(*this, connack, {}))->hold());
    paused_ = true;
    link_.set_reading(false);
  } else {
    send(connack);
  }
  last_packet_ = worker_.now();
  arm_keep_alive();
  publish_connected(worker_, lifecycle_subject());
  log(LogLevel::kDebug,
      "client.connected",
      {{"client_id", client_id()}, {"source_ip", source_ip_}, {"v5", is_v5()}});
  if (session_->is_persistent()) {
    session_->queue().attach();
  }
  if (found != Found::kDiscarded && std::exchange(paused_, false)) {
    link_.set_reading(true);
  }
}

ClientSession::Found ClientSession::find_session() {
  std::unique_ptr<Session> stored = worker_.sessions().take(client_id());
  Found found = Found::kNone;
  if (stored != nullptr && !clean_start_) {
    found = Found::kResumed;
    session_ = std::move(stored);
    worker_.counters().sessions_resumed.add();
  } else if (stored != nullptr) {
    found = Found::kDiscarded;
    worker_.sessions().discard(std::move(stored));
  }
  session_->set_client(this);
  if (session_expiry_s_ != 0 && !session_->is_persistent()) {
    worker_.sessions().make_persistent(*session_);
  }
  if (session_->is_persistent()) {
    keep_session();
  } else if (will_) {
    // After a crash it is published by the next run (MQTT-3.1.2-8; 3.1.2.5 lets it wait for that).
    worker_.sessions().keep_will(client_id(), {principal_, source_ip_, *will_});
    lone_will_ = true;
  }
  return found;
}

void ClientSession::keep_session() {
  PersistentState& state = session_->persistent();
  state.expiry_s = session_expiry_s_;
  state.disconnected_ms = 0;
  state.principal = principal_;
  state.source_ip = source_ip_;
  // A will that waited is not sent any more (MQTT-3.1.3-9). This connection's is there for a crash.
  state.will = will_ ? std::make_unique<WillRecord>(*will_) : nullptr;
  worker_.sessions().write_record(*session_);
}

}  // namespace iotcore::broker
