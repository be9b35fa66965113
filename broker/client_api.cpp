// The part of ClientSession that answers the API about connections.
#include "broker/client_session.h"
#include "broker/connections.h"

#include <algorithm>

namespace iotcore::broker {
namespace {

// Of one client, not confirmed yet.
constexpr std::size_t kDirectMessagesMax = 64;

}  // namespace

ConnectionInfo ClientSession::info() const {
  ConnectionInfo info;
  info.connected = true;
  info.clean_session = clean_start_;
  if (permissions_ != nullptr) {
    info.thing_name = permissions_->thing_name();
  }
  info.source_ip = source_ip_;
  info.source_port = source_port_;
  LinkAddress target = link_.local_address();
  info.target_ip = std::move(target.ip);
  info.target_port = target.port;
  info.keep_alive_s = keep_alive_s_;
  info.session_expiry_s = session_expiry_s_;
  info.connected_ms = connected_ms_;
  return info;
}

void ClientSession::close_by_api(bool clean_session, bool prevent_will) {
  if (prevent_will) {
    will_.reset();
  }
  if (clean_session) {
    session_expiry_s_ = 0;
  }
  close(CloseReason::kApiRequest, mqtt::Reason::kAdministrativeAction);
}

void ClientSession::send_direct(const DirectMessage& direct, Function<void(Status)> done) {
  Message::Ref message = direct.message;
  const PublishView& publish = message->view();
  if (!allows(Action::kReceive, publish.topic)) {
    worker_.counters().dropped_denied.add();
    done(fail(Errc::kForbidden, "The client is not allowed to receive this topic"));
    return;
  }
  FrameCache frames(publish, worker_.now());
  DeliveryOptions options;
  options.qos = direct.confirmation ? Qos::kAtLeastOnce : Qos::kAtMostOnce;
  if (!fits(frames, options)) {
    worker_.counters().dropped_too_large.add();
    done(fail(Errc::kTooLarge, "The message is larger than the client takes"));
    return;
  }
  const std::size_t waiting = rare_ == nullptr ? 0 : rare_->direct.size();
  const bool has_room = session_->inflight().size() + waiting < send_window_;
  const std::optional<PacketId> free = free_direct_id();
  if (!takes_at_once(Qos::kAtMostOnce) || waiting >= kDirectMessagesMax ||
      (direct.confirmation && (!has_room || !free))) {
    done(fail(Errc::kThrottled, "The client does not keep up"));
    return;
  }
  if (!direct.confirmation) {
    send_queued(frames, options, PacketId{}, false);
    done({});
    return;
  }
  send_queued(frames, options, *free, false);
  const std::uint16_t number = ++direct_count_;
  const TimerHandle timer = worker_.timers().schedule(
      worker_.now() + direct.timeout,
      [&worker = worker_, handle = handle_, number] {
        if (ClientSession* session = worker.clients().find(handle); session != nullptr) {
          session->on_direct_timeout(number);
        }
      }
  );
  rare().direct.push_back({*free, number, timer, std::move(done)});
}

bool ClientSession::is_direct_id(PacketId id) const {
  return std::any_of(rare_->direct.begin(), rare_->direct.end(), [id](const Direct& each) {
    return each.id == id;
  });
}

// MQTT-2.2.1-4: one that is not in use. In the middle of all that the session's own messages do not have, nor had when they were last sent, so that it
// takes them long to get there; should they, they wait (takes_more).
std::optional<PacketId> ClientSession::free_direct_id() const {
  const Inflight& inflight = session_->inflight();
  const std::uint64_t begin = inflight.begin();
  const std::uint64_t end = session_->is_persistent()
                                ? std::max(inflight.end(), session_->queue().sent())
                                : inflight.end();
  const std::uint64_t limit = begin + Inflight::kIds;
  for (std::uint64_t at = end + (limit - std::min(end, limit)) / 2; at < limit; ++at) {
    const PacketId id = Inflight::id_of(at);
    if (rare_ == nullptr || !is_direct_id(id)) {
      return id;
    }
  }
  return std::nullopt;
}

void ClientSession::on_direct_timeout(std::uint16_t number) {
  if (rare_ == nullptr) {
    return;
  }
  std::vector<Direct>& waiting = rare_->direct;
  const auto found = std::find_if(waiting.begin(), waiting.end(), [number](const Direct& each) {
    return each.number == number && each.done;
  });
  if (found != waiting.end()) {
    Function<void(Status)> done = std::exchange(found->done, {});
    done(fail(Errc::kTimeout, "The client did not acknowledge the message in time"));
  }
}

void ClientSession::on_direct_puback(const mqtt::Ack& ack) {
  if (rare_ == nullptr) {
    return;
  }
  std::vector<Direct>& waiting = rare_->direct;
  const auto found = std::find_if(waiting.begin(), waiting.end(), [&ack](const Direct& each) {
    return each.id == ack.packet_id;
  });
  if (found == waiting.end()) {
    return;
  }
  Direct direct = std::move(*found);
  waiting.erase(found);
  send_waiting();
  if (direct.done) {
    worker_.timers().cancel(direct.timer);
    direct.done(
        mqtt::is_error(ack.reason) ? Status(fail(Errc::kTimeout, "The client refused the message"))
                                   : Status()
    );
  }
}

void ClientSession::fail_direct_messages() {
  if (rare_ == nullptr) {
    return;
  }
  for (Direct& direct : std::exchange(rare_->direct, {})) {
    if (!direct.done) {
      continue;
    }
    worker_.timers().cancel(direct.timer);
    direct.done(fail(Errc::kTimeout, "The connection ended before the client acknowledged"));
  }
}

}  // namespace iotcore::broker
