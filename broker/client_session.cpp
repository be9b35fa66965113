#include "broker/client_session.h"

#include "base/log.h"
#include "broker/lifecycle_events.h"
#include "broker/mqtt/encoder.h"
#include "broker/topic.h"

#include <algorithm>

namespace iotcore::broker {

Result<std::optional<std::string_view>> Client::peek_client_id(
    std::string_view bytes, std::size_t packet_bytes_max
) {
  mqtt::DecodeContext context;
  context.packet_bytes_max = packet_bytes_max;
  const mqtt::FrameView frame = mqtt::next_frame(bytes, context);
  if (frame.state == mqtt::FrameView::State::kNeedMore) {
    return std::optional<std::string_view>();
  }
  if (frame.state == mqtt::FrameView::State::kFault) {
    return fail(frame.fault.code, frame.fault.why);
  }
  mqtt::ConnectView connect;
  if (const mqtt::Fault fault = mqtt::decode_connect(frame, context, connect)) {
    return fail(fault.code, fault.why);
  }
  return std::optional(connect.client_id);
}

std::unique_ptr<Client> Client::make(
    WorkerBroker& worker, Link& link, PeerIdentity peer, bool over_websocket
) {
  return std::make_unique<ClientSession>(worker, link, std::move(peer), over_websocket);
}

ClientSession::ClientSession(
    WorkerBroker& worker, Link& link, PeerIdentity peer, bool over_websocket
)
    : worker_(worker),
      link_(link),
      peer_(std::move(peer)),
      handle_(worker.clients().add(*this)),
      over_websocket_(over_websocket) {}

ClientSession::~ClientSession() {
  end_session(CloseReason::kServerShutdown);
  worker_.clients().remove(handle_);
}

mqtt::DecodeContext ClientSession::decode_context() const {
  mqtt::DecodeContext context;
  context.version = version_;
  context.packet_bytes_max = worker_.options().packet_bytes_max;
  return context;
}

std::size_t ClientSession::on_bytes(std::string_view bytes) {
  std::size_t taken = 0;
  const mqtt::DecodeContext context = decode_context();
  last_packet_ = worker_.now();
  while (taken < bytes.size() && state_ != State::kClosed && !paused_) {
    const mqtt::FrameView frame = mqtt::next_frame(
        bytes.substr(taken), version_ == context.version ? context : decode_context()
    );
    if (frame.state == mqtt::FrameView::State::kNeedMore) {
      break;
    }
    if (frame.state == mqtt::FrameView::State::kFault) {
      on_fault(frame.fault);
      break;
    }
    taken += frame.size_bytes;
    on_frame(frame);
  }
  return taken;
}

void ClientSession::on_frame(const mqtt::FrameView& frame) {
  if (frame.type == mqtt::PacketType::kPublish) [[likely]] {
    on_publish(frame);
    return;
  }
  switch (frame.type) {
    case mqtt::PacketType::kConnect:
      on_connect(frame);
      return;
    case mqtt::PacketType::kPuback:
    case mqtt::PacketType::kPubrec:
    case mqtt::PacketType::kPubrel:
    case mqtt::PacketType::kPubcomp:
      on_ack(frame);
      return;
    case mqtt::PacketType::kSubscribe:
      on_subscribe(frame);
      return;
    case mqtt::PacketType::kUnsubscribe:
      on_unsubscribe(frame);
      return;
    case mqtt::PacketType::kPingreq:
      if (const mqtt::Fault fault = mqtt::decode_ping(frame)) {
        on_fault(fault);
        return;
      }
      send(mqtt::Pingresp{});
      return;
    case mqtt::PacketType::kDisconnect:
      on_disconnect(frame);
      return;
    case mqtt::PacketType::kAuth:
      // Without an Authentication Method in CONNECT there is nothing to continue (MQTT5 4.12).
      on_fault({Errc::kProtocolError, "AUTH without enhanced authentication"});
      return;
    default:
      on_fault({Errc::kProtocolError, "a packet that only a server sends"});
  }
}

void ClientSession::on_fault(const mqtt::Fault& fault) {
  log(LogLevel::kDebug, "client.fault", {{"client", client_id_}, {"why", fault.why}});
  if (state_ == State::kAwaitConnect) {
    refuse_connect(mqtt::reason_of(fault.code), fault.why, CloseReason::kClientError);
    return;
  }
  close(CloseReason::kClientError, mqtt::reason_of(fault.code));
}

void ClientSession::close(CloseReason reason, mqtt::Reason code) {
  if (state_ == State::kClosed) {
    return;
  }
  if (state_ == State::kConnected && is_v5() && code != mqtt::Reason::kSuccess) {
    mqtt::Disconnect packet;
    packet.reason = code;
    send(packet);
  }
  end_session(reason);
  state_ = State::kClosed;
  link_.close(reason);
}

void ClientSession::on_closed(CloseReason reason) {
  const bool life_over =
      reason == CloseReason::kWebsocketTtl || reason == CloseReason::kCustomAuthTtl;
  if ((reason == CloseReason::kServerShutdown || life_over) && state_ == State::kConnected &&
      is_v5()) {
    mqtt::Disconnect packet;
    packet.reason =
        life_over ? mqtt::Reason::kMaximumConnectTime : mqtt::Reason::kServerShuttingDown;
    send(packet);
  }
  end_session(reason);
  state_ = State::kClosed;
}

void ClientSession::on_disconnect(const mqtt::FrameView& frame) {
  mqtt::Disconnect packet;
  if (const mqtt::Fault fault = mqtt::decode_disconnect(frame, decode_context(), packet)) {
    on_fault(fault);
    return;
  }
  const auto expiry = packet.properties.number(mqtt::Property::kSessionExpiryInterval);
  if (expiry && *expiry != 0 && !session_expiry_wanted_) {
    // MQTT5 3.14.2.2.2: not from zero to more.
    on_fault({Errc::kProtocolError, "the session expiry was 0 in CONNECT"});
    return;
  }
  keep_will_ = packet.reason == mqtt::Reason::kDisconnectWithWill;
  close(CloseReason::kClientDisconnect, mqtt::Reason::kSuccess);
}

void ClientSession::end_session(CloseReason reason) {
  if (std::exchange(ended_, true)) {
    return;
  }
  worker_.keep_alives().cancel(keep_alive_timer_);
  while (!subscriptions_.empty()) {
    remove_subscription(subscriptions_.size() - 1);
  }
  worker_.clients().unbind_id(client_id_, *this);
  if (state_ == State::kConnected) {
    const bool wants_will = reason != CloseReason::kClientDisconnect || keep_will_;
    if (will_ && wants_will) {
      OwnedPublish will;
      will.message = std::move(will_);
      will.client_id = client_id_;
      will.principal = peer_.principal;
      will.source_ip = peer_.source_ip;
      worker_.publish_later(std::move(will));
    }
    publish_disconnected(worker_, lifecycle_subject(), reason);
    log(LogLevel::kDebug,
        "client.disconnected",
        {{"client", client_id_}, {"reason", disconnect_reason_of(reason)}});
  }
  rare_.reset();
  permissions_.reset();
}

LifecycleSubject ClientSession::lifecycle_subject() const {
  LifecycleSubject subject;
  subject.client_id = client_id_;
  if (permissions_ != nullptr) {
    subject.thing_name = permissions_->thing_name();
  }
  subject.principal = peer_.principal;
  subject.source_ip = peer_.source_ip;
  subject.session_id = worker_.session_id(session_number_);
  subject.version_number = session_number_;
  return subject;
}

bool ClientSession::allows(Action action, std::string_view resource) {
  return permissions_ == nullptr || permissions_->allows(action, resource, stable_hash(resource));
}

// ---- Keep alive ----

void ClientSession::arm_keep_alive() {
  if (keep_alive_s_ == 0) {
    return;
  }
  const Duration grace = std::chrono::milliseconds(std::int64_t{keep_alive_s_} * 1500);
  keep_alive_timer_ = worker_.keep_alives().schedule(last_packet_ + grace, *this);
}

void ClientSession::on_keep_alive() {
  // Packets only note their time; the timer looks at it when it is due, and goes on from there.
  const Duration grace = std::chrono::milliseconds(std::int64_t{keep_alive_s_} * 1500);
  if (worker_.now() - last_packet_ >= grace) {
    close(CloseReason::kKeepAliveTimeout, mqtt::Reason::kKeepAliveTimeout);
    return;
  }
  arm_keep_alive();
}

// ---- Delivery ----

bool ClientSession::deliver(
    const PublishView& publish,
    std::uint64_t topic_hash,
    Message::Ref& message,
    FrameCache& frames,
    const DeliveryOptions& options
) {
  if (state_ != State::kConnected) {
    return false;
  }
  WorkerBroker::Counters& counters = worker_.counters();
  if (!allows(Action::kReceive, publish.topic, topic_hash)) {
    counters.dropped_denied.add();
    return false;
  }
  if (publish.has_expiry && publish.expires_at <= worker_.now()) {
    counters.dropped_expired.add();
    return false;
  }
  if (options.qos == Qos::kAtMostOnce) {
    if (out().size() > worker_.options().out_buffer_bytes_max) {
      counters.dropped_slow.add();
      return false;
    }
    return send_publish(frames, options);
  }
  if ((rare_ == nullptr || rare_->queue.empty()) && inflight_.has_room(send_window_)) {
    return send_publish(frames, options);
  }
  Rare& state = rare();
  if (state.queue.size() >= worker_.options().queued_messages_max ||
      state.queued_bytes + publish.payload.size() > worker_.options().queued_bytes_max) {
    counters.dropped_queue_full.add();
    return false;
  }
  if (!message) {
    message = Message::make(publish);
  }
  state.queued_bytes += publish.payload.size();
  state.queue.push_back(
      {message,
       options.qos,
       options.retain,
       {options.subscription_ids.begin(), options.subscription_ids.end()}}
  );
  return true;
}

bool ClientSession::send_publish(FrameCache& frames, const DeliveryOptions& options) {
  FrameCache::Receiver receiver;
  receiver.version = version_;
  receiver.qos = options.qos;
  receiver.retain = options.retain;
  if (is_v5()) {
    receiver.subscription_ids = options.subscription_ids;
    if (packet_bytes_max_ != 0xFFFFFFFF && frames.packet_bytes(receiver) > packet_bytes_max_) {
      // MQTT-3.1.2-24, -25: as if it had been sent.
      worker_.counters().dropped_too_large.add();
      return false;
    }
  }
  if (options.qos != Qos::kAtMostOnce) {
    receiver.packet_id = inflight_.open();
  }
  frames.append(out(), receiver);
  link_.flush_soon();
  worker_.counters().delivered.add();
  return true;
}

void ClientSession::drain_queue() {
  while (rare_ != nullptr && !rare_->queue.empty() && inflight_.has_room(send_window_)) {
    const Queued next = std::move(rare_->queue.front());
    rare_->queue.pop_front();
    const PublishView& publish = next.message->view();
    rare_->queued_bytes -= publish.payload.size();
    if (publish.has_expiry && publish.expires_at <= worker_.now()) {
      worker_.counters().dropped_expired.add();
      continue;
    }
    FrameCache frames(publish, worker_.now());
    send_publish(frames, {next.qos, next.retain, next.subscription_ids});
  }
}

void ClientSession::on_ack(const mqtt::FrameView& frame) {
  mqtt::Ack ack;
  if (const mqtt::Fault fault = mqtt::decode_ack(frame, decode_context(), ack)) {
    on_fault(fault);
    return;
  }
  if (ack.type == mqtt::PacketType::kPuback) {
    if (inflight_.acknowledge(ack.packet_id)) {
      drain_queue();
    }
    return;
  }
  // QoS 2 is not spoken: nothing of it can be under way.
  if (is_v5() && ack.type == mqtt::PacketType::kPubrel) {
    mqtt::Ack complete;
    complete.type = mqtt::PacketType::kPubcomp;
    complete.packet_id = ack.packet_id;
    complete.reason = mqtt::Reason::kPacketIdNotFound;
    send(complete);
    return;
  }
  on_fault({Errc::kProtocolError, "an acknowledgement of QoS 2, which is not in use"});
}

}  // namespace iotcore::broker
