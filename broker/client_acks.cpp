// The acknowledgement part of ClientSession: PUBACK, and the four packets of QoS 2 (MQTT5 3.4 to 3.7, 4.3).
#include "base/log.h"
#include "broker/client_session.h"
#include "broker/mqtt/encoder.h"
#include "broker/worker_sessions.h"

#include <array>

namespace iotcore::broker {

void ClientSession::on_ack(const mqtt::FrameView& frame) {
  if (state_ != State::kConnected) {
    on_fault({Errc::kProtocolError, "MQTT-3.1.0-1: the first packet is not CONNECT"});
    return;
  }
  mqtt::Ack ack;
  if (const mqtt::Fault fault = mqtt::decode_ack(frame, decode_context(), ack)) {
    on_fault(fault);
    return;
  }
  Inflight& inflight = session_->inflight();
  const std::uint64_t oldest = inflight.begin();
  switch (ack.type) {
    case mqtt::PacketType::kPuback:
      if (rare_ != nullptr) {
        rare_->shared_unacked.remove(ack.packet_id);
      }
      if (const Inflight::Answer answer = inflight.on_puback(ack.packet_id);
          answer.outcome == Inflight::Outcome::kUnknown) {
        on_direct_puback(ack);
      } else {
        on_finished(answer, oldest);
      }
      return;
    case mqtt::PacketType::kPubcomp:
      if (const Inflight::Answer answer = inflight.on_pubcomp(ack.packet_id);
          answer.outcome != Inflight::Outcome::kUnknown) {
        on_finished(answer, oldest);
      } else if (session_->is_persistent()) {
        session_->queue().on_early_pubcomp(ack.packet_id);
      }
      return;
    case mqtt::PacketType::kPubrec:
      on_pubrec(ack);
      return;
    default:
      on_pubrel(ack.packet_id);
  }
}

void ClientSession::on_finished(const Inflight::Answer& answer, std::uint64_t oldest) {
  if (answer.outcome == Inflight::Outcome::kWrongPacket) {
    on_fault({Errc::kProtocolError, "not the packet that answers this message (MQTT5 4.3.2, 4.3.3)"}
    );
    return;
  }
  if (answer.outcome != Inflight::Outcome::kFinished) {
    return;
  }
  if (session_->is_persistent()) {
    session_->queue().finished(answer, oldest);
  } else {
    drain_queue();
  }
}

void ClientSession::send_waiting() {
  if (session_->is_persistent()) {
    session_->queue().pump();
  } else {
    drain_queue();
  }
}

// ---- What we sent at QoS 2 ----

void ClientSession::on_pubrec(const mqtt::Ack& ack) {
  Inflight& inflight = session_->inflight();
  const std::uint64_t oldest = inflight.begin();
  const Inflight::Answer answer = inflight.on_pubrec(ack.packet_id, mqtt::is_error(ack.reason));
  switch (answer.outcome) {
    case Inflight::Outcome::kWrongPacket:
    case Inflight::Outcome::kFinished:
      on_finished(answer, oldest);
      return;
    case Inflight::Outcome::kReleased:
    case Inflight::Outcome::kAgain:  // also the second PUBREL does not leave before that is kept
      if (session_->is_persistent()) {
        session_->queue().released(answer);
      } else {
        send_pubrel(ack.packet_id);
      }
      return;
    case Inflight::Outcome::kUnknown:
      if (!mqtt::is_error(ack.reason)) {
        send_ack(mqtt::PacketType::kPubrel, ack.packet_id, mqtt::Reason::kPacketIdNotFound);
      }
      return;
  }
}

void ClientSession::send_pubrel(PacketId id) {
  send_ack(mqtt::PacketType::kPubrel, id, mqtt::Reason::kSuccess);
}

// ---- What the client sent at QoS 2 ----

void ClientSession::on_pubrel(PacketId id) {
  ReceivedIds& received = session_->received();
  const ReceivedIds::State state = received.state(id);
  if (state == ReceivedIds::State::kPending) {
    // The client has not waited for PUBREC. PUBCOMP comes behind it: before, the identifier would not be free for another message.
    InboundAck* due = find_receipt(id);
    if (due == nullptr) {
      due = &rare().inbound_acks.emplace_back(InboundAck{
          id, mqtt::Qos::kExactlyOnce, false, mqtt::Reason::kSuccess});
    }
    due->released = true;
    return;
  }
  if (state == ReceivedIds::State::kUnknown) {
    // In a resumed session this is no error (MQTT5 3.7.2.1): the first PUBCOMP was lost. Some clients take 0x92 for a publish that failed.
    send_ack(
        mqtt::PacketType::kPubcomp,
        id,
        resumed_ ? mqtt::Reason::kSuccess : mqtt::Reason::kPacketIdNotFound
    );
    return;
  }
  received.remove(id);
  if (!session_->is_persistent()) {
    send_ack(mqtt::PacketType::kPubcomp, id, mqtt::Reason::kSuccess);
    return;
  }
  // After PUBCOMP the client may use the identifier for another message, so it has to be forgotten for good by then.
  const SessionNumber number = session_->number();
  worker_.turn().rows().erase(store::Table::kSessions, received_key(number, id));
  worker_.turn().marks().push_back(
      {number,
       static_cast<std::uint64_t>(id),
       CommitMark::Kind::kCompleted,
       session_->queue().connection()}
  );
}

void ClientSession::on_committed(const CommitMark& mark, bool kept) {
  if (!kept) {
    // What the client has to be told could not be kept: it comes back and repeats it.
    close(CloseReason::kServerError, mqtt::Reason::kUnspecifiedError);
    return;
  }
  if (mark.kind == CommitMark::Kind::kReleased) {
    if (session_->inflight().state(mark.value) == Inflight::State::kAwaitPubcomp) {
      send_pubrel(Inflight::id_of(mark.value));
    }
  } else if (mark.connection == session_->queue().connection()) {
    send_ack(mqtt::PacketType::kPubcomp, static_cast<PacketId>(mark.value), mqtt::Reason::kSuccess);
  }
}

void ClientSession::send_ack(
    mqtt::PacketType type, PacketId id, mqtt::Reason reason, const char* why
) {
  if (reason == mqtt::Reason::kSuccess || !is_v5()) {
    const std::array<char, 4> packet = mqtt::short_ack(type, id);
    out().append(packet.data(), packet.size());
    if (traced_) [[unlikely]] {
      trace_packet({packet.data(), packet.size()}, mqtt::Sender::kServer);
    }
    link_.flush_soon();
    return;
  }
  mqtt::Ack ack;
  ack.type = type;
  ack.packet_id = id;
  ack.reason = reason;
  if (why != nullptr) {
    explain(ack, why);
  }
  send(ack);
}

}  // namespace iotcore::broker
