#include "tests/simulation/device.h"

#include "broker/mqtt/decoder.h"
#include "broker/mqtt/encoder.h"
#include "broker/topic.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

namespace iotcore::simulation {

namespace mqtt = broker::mqtt;
using mqtt::Property;

namespace {

constexpr std::array<std::string_view, 9> kTopics = {
    "a", "a/b", "a/c", "a/b/c", "b/c", "durable/x", "secret/x", "jobs/1", "forbidden/x"};
constexpr std::array<std::string_view, 14> kFilters = {
    "a",
    "a/b",
    "a/c",
    "a/+",
    "a/#",
    "+/c",
    "a/+/c",
    "b/#",
    "+/b/#",
    "durable/+",
    "secret/#",
    "wills/+",
    "$share/g/jobs/+",
    "$share/h/jobs/1"};
constexpr std::array<std::string_view, 2> kForbiddenFilters = {"forbidden/x", "forbidden/#"};

template <typename Array>
std::string_view pick(broker::Random& random, const Array& from) {
  return from[random.below(static_cast<unsigned>(from.size()))];
}

}  // namespace

Device::Device(Surroundings& world, std::string client_id, bool persistent)
    : world_(world), client_id_(std::move(client_id)), persistent_(persistent) {
  begin_session();
}

void Device::begin_session() {
  session_ = std::make_unique<Session>();
  session_->client_id = client_id_;
  unacknowledged_.clear();
  received_.clear();
}

std::string Device::describe(std::string_view what) const {
  return fmt::format("{:5} {} {}", world_.now, client_id_, what);
}

template <typename Packet>
void Device::send(const Packet& packet) {
  mqtt::encode(wire_->to_server, version_, packet);
}

PacketId Device::next_id() {
  last_id_ = static_cast<std::uint16_t>(last_id_ == 0xFFFF ? 1 : last_id_ + 1);
  return PacketId{last_id_};
}

void Device::act() {
  if (is_offline()) {
    connect();
    return;
  }
  if (!online_) {
    return;
  }
  switch (world_.random.below(10)) {
    case 0:
    case 1:
      subscribe();
      break;
    case 2:
      unsubscribe();
      break;
    case 3:
    case 4:
      acknowledge_one();
      break;
    case 5:
      send(mqtt::Pingreq{});
      break;
    default:
      publish();
  }
}

// ---- Connecting ----

void Device::connect() {
  broker::Random& random = world_.random;
  const bool v5 = random.one_in(2) || clean_unanswered_;  // 3.1.1 has no clean start of a session
  version_ = v5 ? mqtt::Version::kV5 : mqtt::Version::kV3;
  eager_ = !random.one_in(3);
  receive_maximum_ = 65'535;
  wire_ = std::make_shared<Wire>();
  wire_->room = random.one_in(3) ? 1 + random.below(400) : std::size_t{1} << 20U;
  unread_.clear();
  // One that was not answered may have ended the session or not.
  clean_start_ = !persistent_ || clean_unanswered_ || random.one_in(8);

  mqtt::ConnectView connect;
  connect.version = version_;
  connect.client_id = client_id_;
  connect.clean_start = clean_start_;
  if (version_ == mqtt::Version::kV3) {
    connect.clean_start = !persistent_;  // which also says what becomes of the session afterwards
    clean_start_ = !persistent_;
  } else if (persistent_) {
    connect.properties.set(Property::kSessionExpiryInterval, 0xFFFF'FFFF);
  }
  connect.keep_alive_s = static_cast<std::uint16_t>(random.one_in(4) ? 1 + random.below(20) : 0);
  if (version_ == mqtt::Version::kV5 && random.one_in(2)) {
    receive_maximum_ = static_cast<std::uint16_t>(1 + random.below(4));
    connect.properties.set(Property::kReceiveMaximum, receive_maximum_);
  }
  const std::string will_topic = "wills/" + client_id_;
  std::string will_payload;
  if (random.one_in(2)) {
    Sent will;
    will.publisher = client_id_;
    will.topic = will_topic;
    will.at = world_.now;
    will.is_will = true;
    will_ = world_.ledger.add(will);
    will_payload = Ledger::payload_of(*will_);
    connect.will.emplace();
    connect.will->topic = will_topic;
    connect.will->payload = will_payload;
  }
  world_.trace(describe(clean_start_ ? "connects" : "comes back"));
  clean_unanswered_ = persistent_ && clean_start_;
  if (persistent_ && (kept_ == Kept::kNo || clean_start_)) {
    kept_ = Kept::kPerhaps;
  }
  send(connect);
  world_.connect(wire_, client_id_);
}

void Device::forget_connection() {
  world_.lost_wires.push_back(std::move(wire_));
  wire_ = nullptr;
  online_ = false;
  to_answer_.clear();
  received_here_.clear();
  subscribing_.clear();
  unsubscribing_.clear();
  will_.reset();
}

void Device::disconnect() {
  if (is_offline() || !online_) {
    return;
  }
  world_.trace(describe("disconnects"));
  send(mqtt::Disconnect{});
  wire_->device_gone = true;
  forget_connection();
}

void Device::lose_connection() {
  if (is_offline()) {
    return;
  }
  world_.trace(describe("loses its connection"));
  wire_->to_server.resize(world_.random.below(static_cast<unsigned>(wire_->to_server.size()) + 1));
  wire_->device_gone = true;
  forget_connection();
}

// ---- Asking ----

void Device::publish() {
  broker::Random& random = world_.random;
  if (unacknowledged_.size() > 20) {
    return;
  }
  Sent sent;
  sent.publisher = client_id_;
  sent.topic = pick(random, kTopics);
  if (sent.topic.starts_with(kForbidden) && version_ == mqtt::Version::kV3 && !random.one_in(4)) {
    return;  // it costs the connection
  }
  sent.qos = static_cast<Qos>(random.below(3));
  sent.retain = random.one_in(4);
  sent.clears = sent.retain && random.one_in(3);
  sent.expires = version_ == mqtt::Version::kV5 && random.one_in(8);
  sent.at = world_.now;
  sent.wire = wire_;
  const std::uint64_t number = world_.ledger.add(sent);
  const PacketId id = sent.qos == Qos::kAtMostOnce ? PacketId{} : next_id();
  if (sent.qos != Qos::kAtMostOnce) {
    unacknowledged_.push_back({id, number, false});
  }
  world_.trace(describe(fmt::format(
      "publishes {} on {} at QoS {}{}{}",
      number,
      sent.topic,
      static_cast<int>(sent.qos),
      sent.retain ? ", retained" : "",
      sent.clears ? ", empty" : ""
  )));
  send_publish(sent, number, id, false);
}

void Device::send_publish(const Sent& sent, std::uint64_t number, PacketId id, bool dup) {
  const std::string payload = sent.clears ? "" : Ledger::payload_of(number);
  mqtt::PublishView packet;
  packet.topic = sent.topic;
  packet.payload = payload;
  packet.qos = sent.qos;
  packet.retain = sent.retain;
  packet.packet_id = id;
  packet.dup = dup;
  if (version_ == mqtt::Version::kV5) {
    if (sent.expires) {
      packet.properties.set(Property::kMessageExpiryInterval, 1 + world_.random.below(30));
    }
    if (world_.random.one_in(4)) {
      packet.properties.set(Property::kContentType, payload);
    }
  }
  send(packet);
}

// The session goes on: what the server has not acknowledged is sent again, in its order (MQTT-4.4.0-1).
void Device::send_again() {
  for (const Outgoing& outgoing : unacknowledged_) {
    Sent& sent = world_.ledger.sent(outgoing.number);
    sent.wire = wire_;
    sent.settled = kNever;
    if (outgoing.received) {
      mqtt::Ack release;
      release.type = mqtt::PacketType::kPubrel;
      release.packet_id = outgoing.id;
      send(release);
      continue;
    }
    ++sent.resent;
    world_.trace(describe(fmt::format("publishes {} again", outgoing.number)));
    send_publish(sent, outgoing.number, outgoing.id, true);
  }
}

std::size_t Device::add_subscription(std::string_view filter, std::string_view share_name) {
  std::vector<Subscription>& all = session_->subscriptions;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].filter == filter && all[i].share_name == share_name && all[i].leaving == kNever) {
      return i;
    }
  }
  Subscription subscription;
  subscription.filter = filter;
  subscription.share_name = share_name;
  subscription.requested = world_.now;
  subscription.qos_min = Qos::kExactlyOnce;
  all.push_back(std::move(subscription));
  return all.size() - 1;
}

void Device::subscribe() {
  broker::Random& random = world_.random;
  const bool v5 = version_ == mqtt::Version::kV5;
  mqtt::SubscribeView packet;
  packet.packet_id = next_id();
  const std::uint32_t id = v5 && random.one_in(2) ? 1 + random.below(9) : 0;
  if (id != 0) {
    packet.properties.set(Property::kSubscriptionIdentifier, id);
  }
  std::string entries;
  std::size_t count = 0;
  for (unsigned left = 1 + random.below(3); left > 0; --left) {
    mqtt::SubscriptionView entry;
    entry.filter = random.one_in(12) ? pick(random, kForbiddenFilters) : pick(random, kFilters);
    entry.qos = static_cast<Qos>(random.below(3));
    const auto parts = broker::parse_filter(entry.filter);
    if (v5) {
      entry.no_local = !parts->is_shared() && random.one_in(5);
      entry.retain_as_published = random.one_in(3);
      entry.retain_handling = static_cast<mqtt::RetainHandling>(random.below(3));
    }
    mqtt::append_entry(entries, entry);
    ++count;
    const std::size_t at = add_subscription(parts->filter, parts->share_name);
    Subscription& subscription = session_->subscriptions[at];
    subscription.qos_max = std::max(subscription.qos_max, entry.qos);
    subscription.qos_min = std::min(subscription.qos_min, entry.qos);
    subscription.no_local = subscription.no_local || entry.no_local;
    subscription.local = subscription.local || !entry.no_local;
    subscription.retain_as_published =
        subscription.retain_as_published || entry.retain_as_published;
    if (!parts->is_shared() && entry.retain_handling != mqtt::RetainHandling::kDoNotSend) {
      ++subscription.retained_asked;
    }
    if (id != 0) {
      subscription.ids.insert(id);
    }
    subscribing_[last_id_].emplace_back(at, entry.qos);
    world_.trace(describe(fmt::format("subscribes to {}", entry.filter)));
  }
  packet.entries = {entries, count};
  send(packet);
}

void Device::unsubscribe() {
  std::vector<Subscription>& all = session_->subscriptions;
  if (all.empty()) {
    return;
  }
  const std::size_t at = world_.random.below(static_cast<unsigned>(all.size()));
  Subscription& subscription = all[at];
  if (subscription.leaving != kNever || subscription.granted == kNever) {
    return;
  }
  subscription.leaving = world_.now;
  const std::string filter =
      subscription.share_name.empty()
          ? subscription.filter
          : fmt::format("$share/{}/{}", subscription.share_name, subscription.filter);
  std::string entries;
  mqtt::append_entry(entries, filter);
  mqtt::UnsubscribeView packet;
  packet.packet_id = next_id();
  packet.filters = {entries, 1};
  unsubscribing_[last_id_].push_back(at);
  world_.trace(describe(fmt::format("unsubscribes from {}", filter)));
  send(packet);
}

void Device::acknowledge_one() {
  if (to_answer_.empty()) {
    return;
  }
  // In any order: the standard asks clients for the right one, and the broker must live with others.
  const auto count = static_cast<unsigned>(to_answer_.size());
  const auto at = to_answer_.begin() + (world_.random.one_in(3) ? world_.random.below(count) : 0);
  send(*at);
  to_answer_.erase(at);
}

void Device::acknowledge_all() {
  eager_ = true;
  while (!is_offline() && !to_answer_.empty()) {
    acknowledge_one();
  }
}

// ---- Being answered ----

void Device::read(std::size_t bytes_max) {
  if (is_offline()) {
    return;
  }
  const std::size_t taken = std::min(bytes_max, wire_->to_device.size());
  unread_.append(wire_->to_device, 0, taken);
  wire_->to_device.erase(0, taken);
  std::size_t at = 0;
  while (wire_ != nullptr) {
    mqtt::DecodeContext context;
    context.version = version_;
    context.sender = mqtt::Sender::kServer;
    const mqtt::Decoded decoded = mqtt::decode(std::string_view(unread_).substr(at), context);
    if (decoded.state == mqtt::FrameView::State::kFault) {
      violated(fmt::format("the server sent a packet that is none: {}", decoded.fault.why));
    }
    if (decoded.state == mqtt::FrameView::State::kNeedMore) {
      break;
    }
    at += decoded.size_bytes;
    if (!on_packet(decoded.packet)) {
      return;
    }
  }
  unread_.erase(0, at);
  if (wire_ != nullptr && wire_->server_gone && wire_->to_device.empty()) {
    world_.trace(describe("sees that the server has closed"));
    wire_->device_gone = true;
    forget_connection();
  }
}

bool Device::on_packet(const mqtt::PacketView& packet) {
  if (!online_ && !std::holds_alternative<mqtt::Connack>(packet)) {
    violated("MQTT-3.2.0-1: a packet before CONNACK");
  }
  if (const auto* connack = std::get_if<mqtt::Connack>(&packet)) {
    return on_connack(*connack);
  } else if (const auto* publish = std::get_if<mqtt::PublishView>(&packet)) {
    on_publish(*publish);
  } else if (const auto* ack = std::get_if<mqtt::Ack>(&packet)) {
    on_ack(*ack);
  } else if (const auto* unsuback = std::get_if<mqtt::UnsubackView>(&packet)) {
    on_unsuback(*unsuback);
  } else if (const auto* suback = std::get_if<mqtt::SubackView>(&packet)) {
    on_suback(*suback);
  } else if (const auto* bye = std::get_if<mqtt::Disconnect>(&packet)) {
    world_.trace(describe(fmt::format("is told to go: {:#x}", static_cast<int>(bye->reason))));
    wire_->device_gone = true;
    forget_connection();
    return false;
  } else if (!std::holds_alternative<mqtt::Pingresp>(packet)) {
    violated("a packet that no server sends");
  }
  return true;
}

bool Device::on_connack(const mqtt::Connack& packet) {
  if (online_) {
    violated("a second CONNACK");
  }
  if (packet.reason != mqtt::Reason::kSuccess) {
    if (!persistent_ || !world_.disk_failed) {
      violated(fmt::format("CONNECT was refused: {:#x}", static_cast<int>(packet.reason)));
    }
    // A session that cannot be kept.
    world_.trace(describe(fmt::format("is refused: {:#x}", static_cast<int>(packet.reason))));
    wire_->device_gone = true;
    forget_connection();
    return false;
  }
  if (packet.session_present && (clean_start_ || kept_ == Kept::kNo)) {
    violated("MQTT-3.2.2-2: a session is there that cannot be");
  }
  if (!packet.session_present && !clean_start_ && kept_ == Kept::kYes) {
    violated("the session is gone");
  }
  world_.trace(describe(packet.session_present ? "is connected again" : "is connected"));
  online_ = true;
  clean_unanswered_ = false;
  // A session without a subscription is not worth a write: it may be gone after a crash.
  if (!packet.session_present) {
    kept_ = persistent_ ? Kept::kPerhaps : Kept::kNo;
  }
  if (packet.session_present) {
    session_->resumed = true;
    send_again();
  } else {
    begin_session();
  }
  session_->connected = world_.now;
  return true;
}

void Device::on_publish(const mqtt::PublishView& packet) {
  world_.trace(describe(fmt::format(
      "gets {} on {} at QoS {}{}{}{}",
      packet.payload.substr(0, packet.payload.find(' ')),
      packet.topic,
      static_cast<int>(packet.qos),
      packet.qos == Qos::kAtMostOnce
          ? ""
          : fmt::format(", packet {}", static_cast<int>(packet.packet_id)),
      packet.dup ? ", again" : "",
      packet.retain ? ", retained" : ""
  )));
  const bool is_v5 = version_ == mqtt::Version::kV5;
  if (const auto type = packet.properties.text(Property::kContentType);
      type && *type != packet.payload) {
    violated("a property of another message");
  }
  if (packet.dup && !session_->resumed) {
    violated("MQTT-3.3.1-1: DUP on a first delivery");
  }
  const bool again = packet.qos == Qos::kExactlyOnce && received_.contains(packet.packet_id);
  const bool unanswered =
      std::any_of(to_answer_.begin(), to_answer_.end(), [&](const mqtt::Ack& owed) {
        return owed.packet_id == packet.packet_id;
      });
  if (packet.qos != Qos::kAtMostOnce && (unanswered || (again && !packet.dup))) {
    violated("MQTT-2.2.1-4: a packet identifier that is in use");
  }
  if (!again) {
    world_.ledger.received(*session_, packet, is_v5);
  }
  if (packet.qos == Qos::kAtMostOnce) {
    return;
  }
  mqtt::Ack ack;
  ack.type =
      packet.qos == Qos::kAtLeastOnce ? mqtt::PacketType::kPuback : mqtt::PacketType::kPubrec;
  ack.packet_id = packet.packet_id;
  to_answer_.push_back(ack);
  if (packet.qos == Qos::kExactlyOnce) {
    received_.insert(packet.packet_id);
    received_here_.insert(packet.packet_id);
  }
  if (open_deliveries() > receive_maximum_) {
    violated("MQTT-3.3.4-9: more unacknowledged messages than Receive Maximum");
  }
  if (eager_) {
    acknowledge_one();
  }
}

std::size_t Device::open_deliveries() const {
  const auto of_qos_1 =
      std::count_if(to_answer_.begin(), to_answer_.end(), [](const mqtt::Ack& owed) {
        return owed.type == mqtt::PacketType::kPuback;
      });
  return static_cast<std::size_t>(of_qos_1) + received_here_.size();
}

// The oldest of ours that waits for its first answer: those keep the order (MQTT-4.6.0-2, -3).
Device::Outgoing& Device::awaited(Qos qos, PacketId id) {
  for (Outgoing& outgoing : unacknowledged_) {
    if (world_.ledger.sent(outgoing.number).qos == qos && !outgoing.received) {
      if (outgoing.id == id) {
        return outgoing;
      }
      break;
    }
  }
  violated("an acknowledgement out of order, or of nothing");
}

void Device::on_ack(const mqtt::Ack& packet) {
  world_.trace(describe(fmt::format(
      "gets answer {:#x} for packet {}: {:#x}",
      static_cast<int>(packet.type),
      static_cast<int>(packet.packet_id),
      static_cast<int>(packet.reason)
  )));
  mqtt::Ack answer;
  answer.packet_id = packet.packet_id;
  switch (packet.type) {
    case mqtt::PacketType::kPuback:
      awaited(Qos::kAtLeastOnce, packet.packet_id);
      finish(packet.packet_id, packet.reason);
      return;
    case mqtt::PacketType::kPubrec: {
      Outgoing& outgoing = awaited(Qos::kExactlyOnce, packet.packet_id);
      outgoing.received = true;
      outgoing.received_v3 = version_ == mqtt::Version::kV3;
    }
      if (mqtt::is_error(packet.reason)) {
        finish(packet.packet_id, packet.reason);
        return;
      }
      answer.type = mqtt::PacketType::kPubrel;
      send(answer);
      return;
    case mqtt::PacketType::kPubcomp:
      if (std::none_of(unacknowledged_.begin(), unacknowledged_.end(), [&](const Outgoing& each) {
            return each.id == packet.packet_id && each.received;
          })) {
        violated("PUBCOMP of nothing");  // the standard asks for no order among them
      }
      finish(packet.packet_id, packet.reason);
      return;
    default:
      received_.erase(packet.packet_id);
      received_here_.erase(packet.packet_id);
      answer.type = mqtt::PacketType::kPubcomp;
      send(answer);
  }
}

void Device::finish(PacketId id, mqtt::Reason reason) {
  const auto done =
      std::find_if(unacknowledged_.begin(), unacknowledged_.end(), [id](const Outgoing& outgoing) {
        return outgoing.id == id;
      });
  const std::uint64_t number = done->number;
  const bool v3 = version_ == mqtt::Version::kV3 || done->received_v3;
  unacknowledged_.erase(done);
  Sent& sent = world_.ledger.sent(number);
  const bool ok = !mqtt::is_error(reason);
  world_.trace(describe(fmt::format("hears of {}: {:#x}", number, static_cast<int>(reason))));
  sent.settled = world_.now;
  // 3.1.1 has no code for a refusal, so what is dropped without a disconnect is acknowledged all the same.
  if (ok && v3 && sent.topic.starts_with(kSecret)) {
    return;
  }
  if (reason == mqtt::Reason::kNotAuthorized || (v3 && sent.topic.starts_with(kForbidden))) {
    // If it was sent more than once, the first copy may have gone through.
    sent.promise = sent.resent == 0 ? Sent::Promise::kRefused : sent.promise;
  } else if (ok && sent.topic.starts_with(kForbidden) && sent.resent == 0) {
    violated("a publish that is not allowed was acknowledged as well done");
  } else if (ok) {
    sent.promise = Sent::Promise::kKept;
    sent.acknowledged = world_.now;
  }
}

void Device::on_suback(const mqtt::SubackView& packet) {
  const auto asked = subscribing_.find(static_cast<std::uint16_t>(packet.packet_id));
  if (asked == subscribing_.end() || asked->second.size() != packet.count()) {
    violated("a SUBACK that answers nothing");
  }
  for (std::size_t i = 0; i < packet.count(); ++i) {
    const auto [at, qos] = asked->second[i];
    Subscription& subscription = session_->subscriptions[at];
    const bool ok = !mqtt::is_error(packet.reason(i));
    const bool may_fail = persistent_ && world_.disk_failed;
    if (ok == subscription.filter.starts_with(kForbidden) && (ok || !may_fail)) {
      violated("a subscription was granted or refused against the policy");
    }
    if (ok && static_cast<Qos>(packet.reason(i)) != qos) {
      violated("MQTT-3.8.4-7: a QoS was granted that was not asked for");
    }
    if (ok) {
      subscription.granted = std::min(subscription.granted, world_.now);
      kept_ = persistent_ ? Kept::kYes : Kept::kNo;
    } else {
      // Whether the server has it nevertheless is not known if its disk has failed.
      subscription.leaving = world_.now;
      subscription.left = may_fail ? kNever : world_.now;
    }
  }
  subscribing_.erase(asked);
}

void Device::on_unsuback(const mqtt::UnsubackView& packet) {
  const auto asked = unsubscribing_.find(static_cast<std::uint16_t>(packet.packet_id));
  if (asked == unsubscribing_.end()) {
    violated("an UNSUBACK that answers nothing");
  }
  for (std::size_t i = 0; i < asked->second.size(); ++i) {
    if (packet.count() <= i || !mqtt::is_error(packet.reason(i))) {
      session_->subscriptions[asked->second[i]].left = world_.now;
    }
  }
  unsubscribing_.erase(asked);
}

}  // namespace iotcore::simulation
