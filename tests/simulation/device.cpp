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

Device::Device(Surroundings& world, std::string client_id)
    : world_(world), client_id_(std::move(client_id)), session_(std::make_unique<Session>()) {
  session_->client_id = client_id_;
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
  version_ = random.one_in(2) ? mqtt::Version::kV3 : mqtt::Version::kV5;
  eager_ = !random.one_in(3);
  receive_maximum_ = 65'535;
  wire_ = std::make_shared<Wire>();
  wire_->room = random.one_in(3) ? 1 + random.below(400) : std::size_t{1} << 20U;
  session_ = std::make_unique<Session>();
  session_->client_id = client_id_;
  session_->began = world_.now;
  unread_.clear();

  mqtt::ConnectView connect;
  connect.version = version_;
  connect.client_id = client_id_;
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
  world_.trace(describe("connects"));
  send(connect);
  world_.connect(wire_, client_id_);
}

void Device::forget_connection() {
  world_.lost_wires.push_back(std::move(wire_));
  wire_ = nullptr;
  online_ = false;
  unacknowledged_.clear();
  to_acknowledge_.clear();
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
  sent.qos = random.one_in(3) ? Qos::kAtMostOnce : Qos::kAtLeastOnce;
  sent.retain = random.one_in(4);
  sent.clears = sent.retain && random.one_in(3);
  sent.expires = version_ == mqtt::Version::kV5 && random.one_in(8);
  sent.at = world_.now;
  sent.wire = wire_;
  const std::uint64_t number = world_.ledger.add(sent);
  const std::string payload = sent.clears ? "" : Ledger::payload_of(number);

  mqtt::PublishView packet;
  packet.topic = sent.topic;
  packet.payload = payload;
  packet.qos = sent.qos;
  packet.retain = sent.retain;
  if (sent.expires) {
    packet.properties.set(Property::kMessageExpiryInterval, 1 + random.below(30));
  }
  if (version_ == mqtt::Version::kV5 && random.one_in(4)) {
    packet.properties.set(Property::kContentType, payload);
  }
  if (sent.qos != Qos::kAtMostOnce) {
    packet.packet_id = next_id();
    unacknowledged_.push_back({packet.packet_id, number});
  }
  world_.trace(describe(fmt::format(
      "publishes {} on {} at QoS {}{}{}",
      number,
      sent.topic,
      static_cast<int>(sent.qos),
      sent.retain ? ", retained" : "",
      sent.clears ? ", empty" : ""
  )));
  send(packet);
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
    entry.qos = random.one_in(3) ? Qos::kAtMostOnce : Qos::kAtLeastOnce;
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
  if (to_acknowledge_.empty()) {
    return;
  }
  // In any order: the standard asks clients for the right one, and the broker must live with others.
  const auto at = to_acknowledge_.begin() +
                  static_cast<std::ptrdiff_t>(
                      world_.random.one_in(3)
                          ? world_.random.below(static_cast<unsigned>(to_acknowledge_.size()))
                          : 0
                  );
  mqtt::Ack ack;
  ack.packet_id = *at;
  to_acknowledge_.erase(at);
  send(ack);
}

void Device::acknowledge_all() {
  eager_ = true;
  while (!is_offline() && !to_acknowledge_.empty()) {
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
    on_connack(*connack);
  } else if (const auto* publish = std::get_if<mqtt::PublishView>(&packet)) {
    on_publish(*publish);
  } else if (const auto* ack = std::get_if<mqtt::Ack>(&packet)) {
    on_puback(*ack);
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

void Device::on_connack(const mqtt::Connack& packet) {
  if (online_) {
    violated("a second CONNACK");
  }
  if (packet.reason != mqtt::Reason::kSuccess) {
    violated(fmt::format("CONNECT was refused: {:#x}", static_cast<int>(packet.reason)));
  }
  if (packet.session_present) {
    violated("MQTT-3.2.2-2: a session is there though a clean one was asked for");
  }
  world_.trace(describe("is connected"));
  online_ = true;
}

void Device::on_publish(const mqtt::PublishView& packet) {
  world_.trace(describe(fmt::format(
      "gets {} on {} at QoS {}{}",
      packet.payload.substr(0, packet.payload.find(' ')),
      packet.topic,
      static_cast<int>(packet.qos),
      packet.retain ? ", retained" : ""
  )));
  const bool is_v5 = version_ == mqtt::Version::kV5;
  world_.ledger.received(*session_, packet, is_v5, world_.now);
  if (const auto type = packet.properties.text(Property::kContentType);
      type && *type != packet.payload) {
    violated("a property of another message");
  }
  if (packet.qos == Qos::kAtMostOnce) {
    return;
  }
  if (packet.dup) {
    violated("DUP on a first delivery");
  }
  if (std::find(to_acknowledge_.begin(), to_acknowledge_.end(), packet.packet_id) !=
      to_acknowledge_.end()) {
    violated("MQTT-2.2.1-4: a packet identifier that is in use");
  }
  to_acknowledge_.push_back(packet.packet_id);
  if (to_acknowledge_.size() > receive_maximum_) {
    violated("MQTT-3.3.4-9: more unacknowledged messages than Receive Maximum");
  }
  if (eager_) {
    acknowledge_one();
  }
}

void Device::on_puback(const mqtt::Ack& packet) {
  if (unacknowledged_.empty() || unacknowledged_.front().id != packet.packet_id) {
    violated("MQTT-4.6.0-2: an acknowledgement out of order, or of nothing");
  }
  const std::uint64_t number = unacknowledged_.front().number;
  unacknowledged_.pop_front();
  Sent& sent = world_.ledger.sent(number);
  const bool ok = !mqtt::is_error(packet.reason);
  world_.trace(describe(fmt::format("hears of {}: {:#x}", number, static_cast<int>(packet.reason)))
  );
  sent.settled = world_.now;
  // 3.1.1 has no code for a refusal, so what is dropped without a disconnect is acknowledged all the same.
  const bool v3 = version_ == mqtt::Version::kV3;
  if (ok && v3 && sent.topic.starts_with(kSecret)) {
    return;
  }
  if (packet.reason == mqtt::Reason::kNotAuthorized || (v3 && sent.topic.starts_with(kForbidden))) {
    sent.promise = Sent::Promise::kRefused;
  } else if (ok && sent.topic.starts_with(kForbidden)) {
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
    if (ok == subscription.filter.starts_with(kForbidden)) {
      violated("a subscription was granted or refused against the policy");
    }
    if (ok && static_cast<Qos>(packet.reason(i)) != qos) {
      violated("MQTT-3.8.4-7: a QoS was granted that was not asked for");
    }
    if (ok) {
      subscription.granted = std::min(subscription.granted, world_.now);
    } else {
      subscription.leaving = subscription.left = world_.now;
    }
  }
  subscribing_.erase(asked);
}

void Device::on_unsuback(const mqtt::UnsubackView& packet) {
  const auto asked = unsubscribing_.find(static_cast<std::uint16_t>(packet.packet_id));
  if (asked == unsubscribing_.end()) {
    violated("an UNSUBACK that answers nothing");
  }
  for (const std::size_t at : asked->second) {
    session_->subscriptions[at].left = world_.now;
  }
  unsubscribing_.erase(asked);
}

}  // namespace iotcore::simulation
