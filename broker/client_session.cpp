#include "broker/client_session.h"

#include "base/log.h"
#include "base/memory_use.h"
#include "broker/lifecycle_events.h"
#include "broker/mqtt/encoder.h"
#include "broker/retained_replay.h"
#include "broker/topic.h"
#include "broker/worker_sessions.h"

#include <algorithm>

namespace iotcore::broker {
namespace {

// MQTT-3.1.2-22 counts packets. Of one that has come so far, every further byte counts as well: who sends a large packet over a slow line
// can say nothing else meanwhile.
constexpr std::size_t kSlowPacketBytes = 1024;

// What may wait for a slow receiver before messages of QoS 0 to it are dropped: less as memory runs out.
std::size_t unsent_bytes_max(const BrokerOptions& options) {
  switch (MemoryUse::level()) {
    case MemoryUse::Level::kFree:
      break;
    case MemoryUse::Level::kTight:
      return std::min<std::size_t>(options.out_buffer_bytes_max, 64 << 10);
    case MemoryUse::Level::kFull:
      return std::min<std::size_t>(options.out_buffer_bytes_max, 16 << 10);
  }
  return options.out_buffer_bytes_max;
}

}  // namespace

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
      arriving_(std::make_unique<PeerIdentity>(std::move(peer))),
      principal_(arriving_->principal),
      source_ip_(arriving_->source_ip),
      handle_(worker.clients().add(*this)),
      source_port_(arriving_->source_port),
      over_websocket_(over_websocket) {}

ClientSession::Rare::Rare() = default;
ClientSession::Rare::~Rare() = default;

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
    if (traced_) [[unlikely]] {
      trace_packet(bytes.substr(taken, frame.size_bytes), mqtt::Sender::kClient);
    }
    taken += frame.size_bytes;
    on_frame(frame);
  }
  if (taken != 0 || bytes.size() >= kSlowPacketBytes) {
    last_packet_ = worker_.now();
  }
  if (rare_ != nullptr && rare_->retained != nullptr) {
    continue_retained();
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
  log(LogLevel::kDebug, "client.fault", {{"client_id", client_id()}, {"why", fault.why}});
  if (state_ == State::kAwaitConnect) {
    refuse_connect(mqtt::reason_of(fault.code), fault.why, CloseReason::kClientError);
    return;
  }
  if (fault.code == Errc::kReceiveMaximumExceeded) {
    worker_.limits().reached(Limit::kReceiveMaximum);
  }
  close(CloseReason::kClientError, mqtt::reason_of(fault.code), fault.why);
}

void ClientSession::close(CloseReason reason, mqtt::Reason code, std::string_view why) {
  if (state_ == State::kClosed) {
    return;
  }
  if (connack_held_ && code != mqtt::Reason::kSuccess) {
    refuse(code, why);
  } else if (state_ == State::kConnected && is_v5() && code != mqtt::Reason::kSuccess) {
    mqtt::Disconnect packet;
    packet.reason = code;
    explain(packet, why);
    send(packet);
  }
  end_session(reason);
  state_ = State::kClosed;
  link_.close(reason);
}

// MQTT-3.1.2-29: not if the client does not want to know. MQTT-3.2.2-19, -3.4.2-2, -3.5.2-2, -3.9.2-1, -3.11.2-1, -3.14.2-3: not beyond what it takes.
template <typename Packet>
void ClientSession::explain(Packet& packet, std::string_view why) const {
  if (why.empty() || !problem_information_) {
    return;
  }
  packet.properties.set(mqtt::Property::kReasonString, why);
  if (mqtt::encoded_size(version_, packet) > packet_bytes_max_) {
    packet.properties.clear();
  }
}

template void ClientSession::explain(mqtt::Disconnect& packet, std::string_view why) const;
template void ClientSession::explain(mqtt::Ack& packet, std::string_view why) const;
template void ClientSession::explain(mqtt::SubackView& packet, std::string_view why) const;
template void ClientSession::explain(mqtt::UnsubackView& packet, std::string_view why) const;
template void ClientSession::explain(mqtt::Connack& packet, std::string_view why) const;

void ClientSession::on_closed(CloseReason reason) {
  if (reason == CloseReason::kClientDisconnect) {
    keep_will_ = false;  // in good order, by what the transport has for it
  }
  const bool life_over =
      reason == CloseReason::kWebsocketTtl || reason == CloseReason::kCustomAuthTtl;
  if ((reason == CloseReason::kServerShutdown || life_over) && state_ == State::kConnected &&
      !connack_held_ && is_v5()) {
    mqtt::Disconnect packet;
    packet.reason =
        life_over ? mqtt::Reason::kMaximumConnectTime : mqtt::Reason::kServerShuttingDown;
    if (const std::string& elsewhere = worker_.options().server_reference;
        !elsewhere.empty() && !life_over) {
      packet.reason = mqtt::Reason::kUseAnotherServer;
      packet.properties.set(mqtt::Property::kServerReference, elsewhere);
    }
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
  if (expiry && *expiry != 0 && session_expiry_s_ == 0 && !session_expiry_cut_) {
    // MQTT5 3.14.2.2.2: not from zero to more; one that we have cut to zero was more.
    on_fault({Errc::kProtocolError, "the session expiry was 0 in CONNECT"});
    return;
  }
  if (expiry) {
    session_expiry_s_ = std::min(*expiry, worker_.options().session_expiry_s_max);
  }
  // MQTT-3.14.4-3: only a normal one takes the will back.
  keep_will_ = packet.reason != mqtt::Reason::kSuccess;
  close(CloseReason::kClientDisconnect, mqtt::Reason::kSuccess);
}

void ClientSession::end_session(CloseReason reason) {
  if (std::exchange(ended_, true)) {
    return;
  }
  if (traced_) [[unlikely]] {
    trace(ClientTraceEvent::Kind::kClosed, disconnect_reason_of(reason), {});
  }
  worker_.keep_alives().cancel(keep_alive_timer_);
  if (session_ != nullptr) {
    worker_.clients().unbind_id(session_->client_id(), *this);
  }
  if (state_ == State::kConnected) {
    publish_disconnected(worker_, lifecycle_subject(), reason);
    log(LogLevel::kDebug,
        "client.disconnected",
        {{"client_id", client_id()}, {"reason", disconnect_reason_of(reason)}});
    leave_session(reason);
  }
  session_.reset();
  fail_direct_messages();
  rare_.reset();
  permissions_.reset();
}

// The session ends with the connection, or waits for the next one.
void ClientSession::leave_session(CloseReason reason) {
  const bool survives = session_->is_persistent() && session_expiry_s_ != 0;
  if (std::exchange(lone_will_, false)) {
    worker_.sessions().forget_will(client_id());
  }
  if (reason == CloseReason::kClientDisconnect && !keep_will_) {
    will_.reset();
  }
  if (will_ && (!survives || will_->delay_s == 0)) {
    worker_.publish_will(*will_, client_id(), principal_, source_ip_);
    will_.reset();
  }
  std::vector<SharedMessage> left = take_shared_messages();
  session_->set_client(nullptr);
  if (session_->is_persistent()) {
    PersistentState& state = session_->persistent();
    state.expiry_s = session_expiry_s_;
    state.will.reset();
    state.disconnect_reason = reason;
  }
  if (survives) {
    worker_.sessions().put_away(std::move(session_), std::move(will_));
  } else {
    worker_.sessions().discard(std::move(session_));
  }
  if (reason != CloseReason::kServerShutdown) {
    for (SharedMessage& shared : left) {
      worker_.pass_on(std::move(shared));
    }
  }
}

LifecycleSubject ClientSession::lifecycle_subject() const {
  LifecycleSubject subject;
  subject.client_id = client_id();
  if (permissions_ != nullptr) {
    subject.thing_name = permissions_->thing_name();
  }
  subject.principal = principal_;
  subject.source_ip = source_ip_;
  subject.version_number = session_number_;
  return subject;
}

bool ClientSession::allows(Action action, std::string_view resource) {
  return allows(action, resource, permissions_ == nullptr ? 0 : stable_hash(resource));
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
  if (paused_) {
    last_packet_ = worker_.now();  // we do not look whether it says anything
  }
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
  WorkerCounters& counters = worker_.counters();
  if (!allows(Action::kReceive, publish.topic, topic_hash)) {
    counters.dropped_denied.add();
    return false;
  }
  if (publish.has_expiry && publish.expires_at <= worker_.now()) {
    counters.dropped_expired.add();
    trace_dropped(publish.topic, "expired");
    return false;
  }
  if (options.qos == Qos::kAtMostOnce) {
    if (out().size() > unsent_bytes_max(worker_.options())) {
      counters.dropped_slow.add();
      trace_dropped(publish.topic, "the client reads too slowly");
      return false;
    }
    return send_publish(frames, options, message);
  }
  if ((rare_ == nullptr || rare_->queue.empty()) && takes_more(session_->inflight().end())) {
    return send_publish(frames, options, message);
  }
  Rare& state = rare();
  if (!make_room(publish.payload.size())) {
    counters.dropped_queue_full.add();
    trace_dropped(publish.topic, "its queue is full");
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
       {options.subscription_ids.begin(), options.subscription_ids.end()},
       options.share_slot}
  );
  return true;
}

// In the queue of a session that ends with the connection.
bool ClientSession::make_room(std::size_t bytes) {
  const BrokerOptions& options = worker_.options();
  Rare& state = rare();
  const auto is_full = [&] {
    return state.queue.size() >= options.queued_messages_max ||
           state.queued_bytes + bytes > options.queued_bytes_max ||
           MemoryUse::level() == MemoryUse::Level::kFull;
  };
  while (options.queue_overflow == QueueOverflow::kDropOldest && is_full() && !state.queue.empty()
  ) {
    state.queued_bytes -= state.queue.front().message->view().payload.size();
    state.queue.pop_front();
    worker_.counters().dropped_queue_full.add();
  }
  return !is_full();
}

namespace {

FrameCache::Receiver receiver_of(mqtt::Version version, const DeliveryOptions& options) {
  FrameCache::Receiver receiver;
  receiver.version = version;
  receiver.qos = options.qos;
  receiver.retain = options.retain;
  if (version == mqtt::Version::kV5) {
    receiver.subscription_ids = options.subscription_ids;
  }
  return receiver;
}

}  // namespace

bool ClientSession::fits(const FrameCache& frames, const DeliveryOptions& options) const {
  return packet_bytes_max_ == 0xFFFFFFFF ||
         frames.packet_bytes(receiver_of(version_, options)) <= packet_bytes_max_;
}

bool ClientSession::send_publish(
    FrameCache& frames, const DeliveryOptions& options, Message::Ref& message
) {
  FrameCache::Receiver receiver = receiver_of(version_, options);
  if (packet_bytes_max_ != 0xFFFFFFFF && frames.packet_bytes(receiver) > packet_bytes_max_) {
    // MQTT-3.1.2-24, -25: as if it had been sent.
    worker_.counters().dropped_too_large.add();
    trace_dropped(frames.publish().topic, "larger than the client's Maximum Packet Size");
    return false;
  }
  if (options.qos != Qos::kAtMostOnce) {
    receiver.packet_id = session_->inflight().open_next(options.qos);
  }
  if (options.qos == Qos::kAtLeastOnce && options.share_slot != SubscriberTable::kNone) {
    if (!message) {
      message = Message::make(frames.publish());
    }
    rare().shared_unacked.add(receiver.packet_id, {message, options.share_slot});
  }
  if (alias_out_maximum_ != 0) {
    use_alias(frames, receiver);
  }
  frames.append(out(), receiver);
  if (traced_) [[unlikely]] {
    trace_delivery(frames.publish(), receiver);
  }
  link_.flush_soon();
  worker_.counters().delivered.add();
  return true;
}

void ClientSession::send_queued(
    FrameCache& frames, const DeliveryOptions& options, PacketId id, bool again
) {
  FrameCache::Receiver receiver = receiver_of(version_, options);
  receiver.packet_id = id;
  receiver.dup = again;
  if (alias_out_maximum_ != 0) {
    use_alias(frames, receiver);
  }
  frames.append(out(), receiver);
  if (traced_) [[unlikely]] {
    trace_delivery(frames.publish(), receiver);
  }
  link_.flush_soon();
  worker_.counters().delivered.add();
}

void ClientSession::use_alias(const FrameCache& frames, FrameCache::Receiver& receiver) {
  // With an alias for the first time the packet grows by three bytes.
  constexpr std::size_t kAliasBytes = 3;
  if (packet_bytes_max_ != 0xFFFFFFFF &&
      frames.packet_bytes(receiver) + kAliasBytes > packet_bytes_max_) {
    return;
  }
  std::unique_ptr<OutboundAliases>& aliases = rare().outbound_aliases;
  if (aliases == nullptr) {
    aliases = std::make_unique<OutboundAliases>(alias_out_maximum_);
  }
  const OutboundAliases::Use use = aliases->use(frames.publish().topic);
  receiver.topic_alias = use.alias;
  receiver.topic_known = use.is_known;
}

bool ClientSession::takes_more(std::uint64_t sequence) const {
  const Inflight& inflight = session_->inflight();
  std::size_t window = send_window_;
  if (rare_ != nullptr && !rare_->direct.empty()) [[unlikely]] {
    // They count in the client's Receive Maximum, and nothing else may have their identifiers (MQTT-3.3.4-9, -2.2.1-4).
    window -= std::min(window, rare_->direct.size());
    if (is_direct_id(Inflight::id_of(sequence))) {
      return false;
    }
  }
  // With nothing under way there would be no acknowledgement either that could send what waits.
  return inflight.has_room(window, sequence) &&
         (link_.out().size() <= unsent_bytes_max(worker_.options()) || inflight.size() == 0);
}

bool ClientSession::takes_at_once(Qos qos) const {
  if (state_ != State::kConnected || connack_held_) {
    return false;
  }
  if (qos == Qos::kAtMostOnce) {
    return link_.out().size() <= unsent_bytes_max(worker_.options());
  }
  const bool none_waits = session_->is_persistent() ? session_->queue().waiting_messages() == 0
                                                    : rare_ == nullptr || rare_->queue.empty();
  return none_waits && takes_more(session_->inflight().end());
}

std::size_t ClientSession::load() const {
  constexpr std::size_t kBytesAsOne = 1024;
  return session_->inflight().size() + (rare_ == nullptr ? 0 : rare_->queue.size()) +
         link_.out().size() / kBytesAsOne;
}

std::vector<SharedMessage> ClientSession::take_shared_messages() {
  std::vector<SharedMessage> left;
  if (rare_ == nullptr) {
    return left;
  }
  const auto leave = [&](const Message::Ref& message, std::uint32_t slot) {
    if (slot != SubscriberTable::kNone) {
      SharedMessage& shared = left.emplace_back();
      shared.message = message;
      shared.filter = worker_.subscribers().slot(slot).filter();
    }
  };
  for (const SharedUnacked::Entry& entry : rare_->shared_unacked.take()) {
    leave(entry.message, entry.slot);
  }
  for (const Queued& queued : rare_->queue) {
    leave(queued.message, queued.share_slot);
  }
  return left;
}

void ClientSession::drain_queue() {
  while (rare_ != nullptr && !rare_->queue.empty() && takes_more(session_->inflight().end())) {
    Queued next = std::move(rare_->queue.front());
    rare_->queue.pop_front();
    const PublishView& publish = next.message->view();
    rare_->queued_bytes -= publish.payload.size();
    if (publish.has_expiry && publish.expires_at <= worker_.now()) {
      worker_.counters().dropped_expired.add();
      continue;
    }
    FrameCache frames(publish, worker_.now());
    send_publish(
        frames, {next.qos, next.retain, next.subscription_ids, next.share_slot}, next.message
    );
  }
}

}  // namespace iotcore::broker
