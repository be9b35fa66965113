// The part of ClientSession that tells who looks at a client what happens to it.
#include "broker/client_session.h"
#include "broker/client_traces.h"
#include "broker/packet_summary.h"

#include <fmt/format.h>

namespace iotcore::broker {
namespace {

std::string_view name_of(Action action) {
  switch (action) {
    case Action::kConnect:
      return "Connect";
    case Action::kPublish:
      return "Publish";
    case Action::kRetainPublish:
      return "RetainPublish";
    case Action::kSubscribe:
      return "Subscribe";
    case Action::kReceive:
      return "Receive";
  }
  return "";
}

}  // namespace

void ClientSession::start_trace(std::string_view client_id) {
  if (!traced_) {
    rare().traced_as = client_id;
    traced_ = true;
  }
}

void ClientSession::trace_connect(const mqtt::ConnectView& connect) {
  if (worker_.traces().find(connect.client_id, worker_.now()) == nullptr) [[likely]] {
    return;
  }
  start_trace(connect.client_id);
  PacketSummary summary = summarize(connect);
  trace(
      ClientTraceEvent::Kind::kReceived,
      summary.name,
      fmt::format(
          "{} source={}:{} principal={} {}",
          summary.detail,
          source_ip_,
          source_port_,
          principal_.empty() ? "none" : principal_,
          over_websocket_ ? "WebSocket" : "MQTT"
      )
  );
}

void ClientSession::trace_packet(std::string_view bytes, mqtt::Sender sender) {
  mqtt::DecodeContext context = decode_context();
  context.sender = sender;
  context.packet_bytes_max = bytes.size();
  const mqtt::Decoded decoded = mqtt::decode(bytes, context);
  const auto kind = sender == mqtt::Sender::kClient ? ClientTraceEvent::Kind::kReceived
                                                    : ClientTraceEvent::Kind::kSent;
  if (decoded.state != mqtt::FrameView::State::kReady) {
    trace(kind, "malformed", decoded.fault.why == nullptr ? "" : decoded.fault.why);
    return;
  }
  PacketSummary summary = summarize(decoded.packet);
  trace(kind, summary.name, std::move(summary.detail));
}

void ClientSession::trace_delivery(
    const PublishView& publish, const FrameCache::Receiver& receiver
) {
  mqtt::PublishView packet;
  packet.topic = publish.topic;
  packet.payload = publish.payload;
  packet.qos = receiver.qos;
  packet.retain = receiver.retain;
  packet.dup = receiver.dup;
  packet.packet_id = receiver.packet_id;
  PacketSummary summary = summarize(packet);
  trace(ClientTraceEvent::Kind::kSent, summary.name, std::move(summary.detail));
}

void ClientSession::trace_decision(Action action, std::string_view resource, bool allowed) {
  trace(
      allowed ? ClientTraceEvent::Kind::kAllowed : ClientTraceEvent::Kind::kDenied,
      name_of(action),
      std::string(resource)
  );
}

void ClientSession::trace_dropped(std::string_view topic, std::string_view why) {
  if (traced_) [[unlikely]] {
    trace(ClientTraceEvent::Kind::kDropped, "PUBLISH", fmt::format("topic={} ({})", topic, why));
  }
}

void ClientSession::trace(ClientTraceEvent::Kind kind, std::string_view what, std::string detail) {
  ClientTrace* trace =
      rare_ == nullptr ? nullptr : worker_.traces().find(rare_->traced_as, worker_.now());
  if (trace == nullptr) {
    traced_ = false;  // nobody looks any more
    return;
  }
  ClientTraceEvent event;
  event.time_ms = to_epoch_ms(worker_.shared().clock().wall());
  event.kind = kind;
  event.what = what;
  event.detail = std::move(detail);
  trace->add(std::move(event));
}

}  // namespace iotcore::broker
