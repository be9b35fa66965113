// The PUBLISH part of ClientSession: what the client sends.
#include "base/log.h"
#include "base/tracing.h"
#include "broker/client_session.h"
#include "broker/message_limits.h"
#include "broker/mqtt/encoder.h"
#include "broker/reserved_topics.h"
#include "broker/topic.h"
#include "broker/worker_ack.h"
#include "broker/worker_sessions.h"

#include <algorithm>

namespace iotcore::broker {
namespace {

// A publish that failed leaves nothing behind: its identifier is free for another one.
void settle_receipt(ReceivedIds& received, PacketId id, bool failed) {
  if (failed) {
    received.remove(id);
  } else {
    received.set_received(id);
  }
}

// A publish that is sampled, or whose publisher says in a user property that it is traced (W3C Trace Context for MQTT).
void start_span(
    tracing::RootScope& span,
    tracing::Tracer& tracer,
    const mqtt::PublishView& publish,
    std::string_view client_id
) {
  std::optional<tracing::SpanContext> parent;
  publish.properties.for_each_user_property([&parent](const mqtt::UserPropertyView& property) {
    if (property.name == "traceparent") {
      parent = tracing::parse_traceparent(property.value);
    }
  });
  if (!parent && !tracer.samples()) {
    return;
  }
  span.start("publish", parent);
  span.set("messaging.system", "mqtt");
  span.set("messaging.destination.name", std::string(publish.topic));
  span.set("messaging.client_id", std::string(client_id));
  span.set("messaging.message.body.size", std::to_string(publish.payload.size()));
  span.set("mqtt.qos", std::to_string(static_cast<int>(publish.qos)));
}

// What PUBACK or PUBREC says of a publish that has gone through.
mqtt::Reason reason_of(const PublishResult& result) {
  return result.retain_refused   ? mqtt::Reason::kQuotaExceeded
         : result.receivers == 0 ? mqtt::Reason::kNoMatchingSubscribers
                                 : mqtt::Reason::kSuccess;
}

constexpr const char* kNotRetained = "delivered, but not retained: a limit is reached";

// What it can say of one that could not be kept.
mqtt::Reason refusal_of(Errc failure) {
  const mqtt::Reason reason = mqtt::reason_of(failure);
  return mqtt::is_reason_allowed(reason, mqtt::PacketType::kPuback, mqtt::Sender::kServer)
             ? reason
             : mqtt::Reason::kUnspecifiedError;
}

}  // namespace

// Sends the PUBACK or PUBREC of one publish when everything that it promises is durable.
class ClientSession::PublishAck final : public WorkerAck<PublishAck> {
 public:
  struct Publish {
    ClientHandle client;
    SessionNumber session;
    PacketId id;
    mqtt::Qos qos;
    mqtt::Reason reason = mqtt::Reason::kSuccess;  // if it can be kept
    bool is_forgotten = false;                     // QoS 2: the row of its identifier is gone again
  };

  PublishAck(WorkerBroker& worker, const Publish& publish) : WorkerAck(worker), of_(publish) {}

  void set_reason(mqtt::Reason reason) { of_.reason = reason; }

  void finish(std::optional<Errc> failure) {
    ClientSession* client = worker().clients().find(of_.client);
    if (client != nullptr && !client->is_connected()) {
      client = nullptr;
    }
    if (of_.qos == mqtt::Qos::kExactlyOnce) {
      // The session may have another connection by now, on which the client has perhaps repeated the publish.
      Session* session =
          client != nullptr ? client->session() : worker().sessions().find(of_.session);
      client = session == nullptr ? nullptr : session->client();
      if (session != nullptr && !settle(*session, failure)) {
        return;
      }
    }
    if (client == nullptr) {
      return;
    }
    if (failure) {
      client->inbound_complete(
          of_.id, of_.qos, refusal_of(*failure), "the message could not be kept"
      );
    } else {
      const bool is_told = client->is_v5() || !mqtt::is_error(of_.reason);
      client->inbound_complete(
          of_.id,
          of_.qos,
          is_told ? of_.reason : mqtt::Reason::kSuccess,
          mqtt::is_error(of_.reason) ? kNotRetained : nullptr
      );
    }
  }

 private:
  // What becomes of the identifier of a QoS 2 publish. False: that has to be kept first.
  bool settle(Session& session, std::optional<Errc> failure) {
    const bool is_refused = failure || mqtt::is_error(of_.reason);
    if (is_refused && session.is_persistent()) {
      const std::string row = received_key(session.number(), of_.id);
      if (failure) {
        worker().turn().erase_ghost(
            store::Table::kSessions, row
        );  // whether it is there nobody knows
      } else if (!of_.is_forgotten) {
        // After such a PUBREC the client may use the identifier for another message, so it has to be forgotten for good by then.
        worker().turn().rows().erase(store::Table::kSessions, row);
        Publish forgotten = of_;
        forgotten.is_forgotten = true;
        worker().turn().durable_rows((new PublishAck(worker(), forgotten))->hold());
        return false;
      }
    }
    settle_receipt(session.received(), of_.id, is_refused);
    return true;
  }

  Publish of_;
};

class ClientSession::AckFactory final : public AckSource {
 public:
  AckFactory(ClientSession& session, PacketId id, mqtt::Qos qos)
      : session_(session), id_(id), qos_(qos) {}

  PendingAck& make() override {
    session_.rare().inbound_acks.push_back({id_, qos_, false, mqtt::Reason::kSuccess});
    made_ = new PublishAck(
        session_.worker_, {session_.handle_, session_.session_->number(), id_, qos_}
    );
    return *made_;
  }

  void deferred(const PublishResult& result) override {
    if (session_.is_v5()) {
      made_->set_reason(reason_of(result));
    }
  }

 private:
  ClientSession& session_;
  PacketId id_;
  mqtt::Qos qos_;
  PublishAck* made_ = nullptr;  // deletes itself
};

void ClientSession::on_publish(const mqtt::FrameView& frame) {
  if (state_ != State::kConnected) {
    on_fault({Errc::kProtocolError, "MQTT-3.1.0-1: the first packet is not CONNECT"});
    return;
  }
  mqtt::PublishView packet;
  if (const mqtt::Fault fault = mqtt::decode_publish(frame, decode_context(), packet)) {
    on_fault(fault);
    return;
  }
  if (is_v5() && !resolve_alias(packet)) {
    return;
  }
  const bool exactly_once = packet.qos == Qos::kExactlyOnce;
  if (exactly_once && worker_.options().qos_max < 2) {
    on_fault({Errc::kQosNotSupported, "MQTT-3.2.2-11: QoS above Maximum QoS"});
    return;
  }
  if (exactly_once && is_repeated(packet.packet_id)) {
    return;
  }
  const BrokerOptions& options = worker_.options();
  const bool acknowledged = packet.qos != Qos::kAtMostOnce;
  const std::size_t unfinished = rare_ == nullptr ? 0 : rare_->inbound_acks.size();
  if (acknowledged && is_v5() &&
      std::max(unfinished, session_->received().size()) >= options.receive_maximum) {
    on_fault({Errc::kReceiveMaximumExceeded, "more unacknowledged publishes than Receive Maximum"});
    return;
  }
  tracing::RootScope span;
  if (tracing::Tracer* tracer = tracing::Tracer::installed(); tracer != nullptr) [[unlikely]] {
    start_span(span, *tracer, packet, client_id());
  }
  if (!within_rate(packet) || !may_publish(packet)) {
    return;
  }

  PublishView publish;
  publish.topic = packet.topic;
  publish.payload = packet.payload;
  publish.qos = packet.qos;
  publish.retain = packet.retain;
  std::string& forwarded = worker_.property_scratch();
  if (is_v5() && !packet.properties.empty()) {
    forwarded.clear();
    mqtt::append_forwarded_properties(forwarded, packet.properties);
    publish.properties = forwarded;
    if (const auto expiry = packet.properties.number(mqtt::Property::kMessageExpiryInterval)) {
      publish.has_expiry = true;
      publish.expires_at = worker_.now() + std::chrono::seconds(message_expiry_s(*expiry, options));
    }
  }
  if (const std::string_view added =
          permissions_ ? permissions_->message_properties() : std::string_view();
      !added.empty()) {
    if (publish.properties.empty()) {
      forwarded.clear();
    }
    publish.properties = forwarded.append(added);
  }
  Publisher publisher;
  publisher.client_id = client_id();
  publisher.principal = principal_;
  publisher.source_ip = source_ip_;
  publisher.session = session_.get();
  std::string receipt;
  if (exactly_once) {
    session_->received().add(packet.packet_id, ReceivedIds::State::kPending);
    if (session_->is_persistent()) {
      receipt = received_key(session_->number(), packet.packet_id);
      publisher.receipt = receipt;
      worker_.turn().forget_ghost(store::Table::kSessions, receipt);
    }
  }
  AckFactory acks(*this, packet.packet_id, packet.qos);
  const PublishResult result = worker_.publish(publisher, publish, acknowledged ? &acks : nullptr);
  if (acknowledged && !result.deferred) {
    acknowledge(
        packet.packet_id,
        packet.qos,
        is_v5() ? reason_of(result) : mqtt::Reason::kSuccess,
        result.retain_refused ? kNotRetained : nullptr
    );
  }
  if (!is_v5() && rare_ != nullptr && rare_->inbound_acks.size() >= options.receive_maximum) {
    // 3.1.1 has no limit to name, so the socket is left unread until acknowledgements have gone out.
    paused_ = true;
    link_.set_reading(false);
  }
}

bool ClientSession::resolve_alias(mqtt::PublishView& packet) {
  const std::uint32_t alias = packet.properties.number_or(mqtt::Property::kTopicAlias, 0);
  if (alias == 0) {
    return true;  // the decoder has seen to it that there is a topic then
  }
  if (alias > worker_.options().topic_alias_maximum) {
    on_fault({Errc::kTopicAliasInvalid, "MQTT-3.2.2-17: alias above Topic Alias Maximum"});
    return false;
  }
  InboundAliases& aliases = rare().inbound_aliases;
  if (!packet.topic.empty()) {
    aliases.set(alias, packet.topic);
    return true;
  }
  packet.topic = aliases.topic(alias);
  if (packet.topic.empty()) {
    on_fault({Errc::kProtocolError, "a topic alias that was never set"});
    return false;
  }
  return true;
}

void ClientSession::publish_refused(const mqtt::PublishView& packet, Errc code, const char* why) {
  log(worker_.refusal_log_level(),
      "publish.refused",
      {{"client_id", client_id()}, {"topic", packet.topic}, {"why", why}});
  // A topic of somebody else's `$` space is nobody's here: dropped, which is no reason to part (MQTT-3.3.5-2).
  const bool disconnect =
      worker_.options().disconnect_on_publish_denied && !is_foreign_topic(packet.topic);
  if (is_v5() && packet.qos != Qos::kAtMostOnce) {
    acknowledge(packet.packet_id, packet.qos, mqtt::reason_of(code), why);
    return;
  }
  if (disconnect) {
    close(
        code == Errc::kNotAuthorized ? CloseReason::kAuthError : CloseReason::kClientError,
        mqtt::reason_of(code),
        why
    );
  } else if (packet.qos != Qos::kAtMostOnce) {
    acknowledge(packet.packet_id, packet.qos, mqtt::Reason::kSuccess);
  }
}

// MQTT-4.3.3-10: the same identifier again before PUBREL is the same message again. Its PUBREC takes its place among the answers to
// this connection's publishes (MQTT-4.6.0-3), and has to wait if the first copy, of an earlier connection, is not kept yet.
bool ClientSession::is_repeated(PacketId id) {
  const ReceivedIds::State state = session_->received().state(id);
  if (state == ReceivedIds::State::kUnknown) {
    return false;
  }
  if (find_receipt(id) != nullptr &&
      rare_->inbound_acks.size() >= worker_.options().receive_maximum) {
    return true;  // so often that one PUBREC has to do
  }
  if (state == ReceivedIds::State::kPending) {
    rare().inbound_acks.push_back({id, Qos::kExactlyOnce, false, mqtt::Reason::kSuccess});
  } else {
    answer_publish({id, Qos::kExactlyOnce, true, mqtt::Reason::kSuccess});
  }
  return true;
}

ClientSession::InboundAck* ClientSession::find_receipt(PacketId id) {
  if (rare_ == nullptr) {
    return nullptr;
  }
  std::deque<InboundAck>& acks = rare_->inbound_acks;
  const auto found = std::find_if(acks.rbegin(), acks.rend(), [id](const InboundAck& ack) {
    return ack.id == id && ack.qos == Qos::kExactlyOnce;
  });
  return found == acks.rend() ? nullptr : &*found;
}

// What is known at once. It goes out in the order of the publishes (MQTT-4.6.0-2, -3), so not before one that still waits.
void ClientSession::acknowledge(PacketId id, mqtt::Qos qos, mqtt::Reason reason, const char* why) {
  if (qos == mqtt::Qos::kExactlyOnce) {
    settle_receipt(session_->received(), id, mqtt::is_error(reason));
  }
  answer_publish({id, qos, true, reason, why});
}

void ClientSession::answer_publish(const InboundAck& ack) {
  if (rare_ != nullptr && !rare_->inbound_acks.empty()) {
    rare_->inbound_acks.push_back(ack);
    return;
  }
  send_answer(ack);
}

void ClientSession::send_answer(const InboundAck& ack) {
  const bool once = ack.qos == mqtt::Qos::kExactlyOnce;
  send_ack(
      once ? mqtt::PacketType::kPubrec : mqtt::PacketType::kPuback, ack.id, ack.reason, ack.why
  );
}

void ClientSession::inbound_complete(
    PacketId id, mqtt::Qos qos, mqtt::Reason reason, const char* why
) {
  if (rare_ == nullptr) {
    return;
  }
  for (InboundAck& waiting : rare_->inbound_acks) {
    if (waiting.id == id && waiting.qos == qos && !waiting.done) {
      waiting.done = true;
      waiting.reason = reason;
      waiting.why = why;
      if (qos != Qos::kExactlyOnce) {
        break;  // the same identifier again is another message
      }
    }
  }
  flush_inbound_acks();
}

void ClientSession::flush_inbound_acks() {
  while (!rare_->inbound_acks.empty() && rare_->inbound_acks.front().done) {
    const InboundAck ack = rare_->inbound_acks.front();
    if (mqtt::is_error(ack.reason) && !is_v5()) {
      // 3.1.1 has no negative acknowledgement: without one the client sends again after it has reconnected.
      close(CloseReason::kServerError, mqtt::Reason::kUnspecifiedError);
      return;
    }
    rare_->inbound_acks.pop_front();
    send_answer(ack);
    if (ack.released) {
      on_pubrel(ack.id);
    }
  }
  if (paused_ && !throttled_ && rare_->inbound_acks.size() < worker_.options().receive_maximum) {
    paused_ = false;
    link_.set_reading(true);
  }
}

}  // namespace iotcore::broker
