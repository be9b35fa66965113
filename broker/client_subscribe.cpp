// The SUBSCRIBE and UNSUBSCRIBE part of ClientSession (MQTT5 3.8 to 3.11).
#include "base/log.h"
#include "broker/client_session.h"
#include "broker/mqtt/encoder.h"
#include "broker/reserved_topics.h"
#include "broker/retained.h"
#include "broker/topic.h"

#include <algorithm>

namespace iotcore::broker {

void ClientSession::on_subscribe(const mqtt::FrameView& frame) {
  if (state_ != State::kConnected) {
    on_fault({Errc::kProtocolError, "MQTT-3.1.0-1: the first packet is not CONNECT"});
    return;
  }
  mqtt::SubscribeView packet;
  if (const mqtt::Fault fault = mqtt::decode_subscribe(frame, decode_context(), packet)) {
    on_fault(fault);
    return;
  }
  for (const mqtt::SubscriptionView wanted : packet.entries) {
    if (wanted.no_local && wanted.filter.starts_with("$share/")) {
      on_fault({Errc::kProtocolError, "MQTT-3.8.3-4: No Local on a shared subscription"});
      return;
    }
  }
  std::uint32_t subscription_id = 0;
  packet.properties.for_each_subscription_id([&](std::uint32_t id) { subscription_id = id; });
  if (subscription_id == 0) {
    subscription_id = packet.properties.number_or(mqtt::Property::kSubscriptionIdentifier, 0);
  }

  const bool too_many = packet.entries.count() > worker_.options().filters_per_subscribe_max;
  std::string reasons;
  std::vector<bool> send_retained_for;
  std::vector<std::string_view> granted;
  for (const mqtt::SubscriptionView wanted : packet.entries) {
    bool is_new = false;
    const mqtt::Reason reason =
        too_many ? mqtt::Reason::kQuotaExceeded : subscribe_one(wanted, subscription_id, is_new);
    reasons.push_back(static_cast<char>(reason));
    const bool ok = !mqtt::is_error(reason);
    if (ok) {
      granted.push_back(wanted.filter);
    }
    send_retained_for.push_back(
        ok && !wanted.filter.starts_with("$share/") &&
        (wanted.retain_handling == mqtt::RetainHandling::kSend ||
         (wanted.retain_handling == mqtt::RetainHandling::kSendIfNew && is_new))
    );
  }
  mqtt::SubackView suback;
  suback.packet_id = packet.packet_id;
  suback.reasons = reasons;
  send(suback);
  std::size_t i = 0;
  for (const mqtt::SubscriptionView wanted : packet.entries) {
    if (send_retained_for[i++]) {
      send_retained(wanted, subscription_id);
    }
  }
  publish_subscriptions(worker_, lifecycle_subject(), true, granted);
}

mqtt::Reason ClientSession::subscribe_one(
    const mqtt::SubscriptionView& wanted, std::uint32_t subscription_id, bool& is_new
) {
  const BrokerOptions& options = worker_.options();
  const TopicLimits limits{options.topic_bytes_max, options.topic_levels_max, 128};
  const std::optional<FilterView> filter = parse_filter(wanted.filter, limits);
  if (!filter || !client_may_subscribe(filter->filter, options.sys_topics_interval_s != 0)) {
    return mqtt::Reason::kTopicFilterInvalid;
  }
  if (!allows(Action::kSubscribe, wanted.filter)) {
    log(LogLevel::kInfo,
        "subscribe.refused",
        {{"client", client_id_}, {"filter", wanted.filter}, {"why", "not allowed"}});
    return mqtt::Reason::kNotAuthorized;
  }
  Subscriber subscriber;
  subscriber.client = this;
  subscriber.qos = std::min(wanted.qos, Qos::kAtLeastOnce);
  subscriber.no_local = wanted.no_local;
  subscriber.retain_as_published = wanted.retain_as_published;
  subscriber.subscription_id = subscription_id;
  const auto granted = static_cast<mqtt::Reason>(subscriber.qos);

  SubscriberTable& table = worker_.subscribers();
  const std::uint32_t slot = table.find(wanted.filter);
  const std::size_t place =
      slot == SubscriberTable::kNone ? subscriptions_.size() : find_subscription(slot);
  if (place < subscriptions_.size()) {
    // MQTT-3.8.4-3: the new one takes the place of the old one, with no gap.
    subscriber.place = static_cast<std::uint32_t>(place);
    table.slot(slot).subscribers[subscriptions_[place].index] = subscriber;
    is_new = false;
    return granted;
  }
  if (subscriptions_.size() >= options.subscriptions_per_client_max) {
    return mqtt::Reason::kQuotaExceeded;
  }
  subscriber.place = static_cast<std::uint32_t>(subscriptions_.size());
  const SubscriberTable::Added added = table.add(wanted.filter, subscriber);
  subscriptions_.push_back({added.slot, added.index});
  is_new = true;
  return granted;
}

void ClientSession::send_retained(
    const mqtt::SubscriptionView& wanted, std::uint32_t subscription_id
) {
  const auto visit = [&](const Message::Ref& kept, std::int64_t /*stored_ms*/) {
    const PublishView& publish = kept->view();
    if (state_ != State::kConnected) {
      return;
    }
    Message::Ref message = kept;
    FrameCache frames(publish, worker_.now());
    DeliveryOptions options;
    options.qos = std::min({publish.qos, wanted.qos, Qos::kAtLeastOnce});
    options.retain = true;
    if (subscription_id != 0) {
      options.subscription_ids = {&subscription_id, 1};
    }
    deliver(publish, stable_hash(publish.topic), message, frames, options);
  };
  if (worker_.options().retained_to_wildcards || !has_wildcard(wanted.filter)) {
    worker_.shared().retained().match(wanted.filter, visit);
  }
}

void ClientSession::on_unsubscribe(const mqtt::FrameView& frame) {
  if (state_ != State::kConnected) {
    on_fault({Errc::kProtocolError, "MQTT-3.1.0-1: the first packet is not CONNECT"});
    return;
  }
  mqtt::UnsubscribeView packet;
  if (const mqtt::Fault fault = mqtt::decode_unsubscribe(frame, decode_context(), packet)) {
    on_fault(fault);
    return;
  }
  std::string reasons;
  std::vector<std::string_view> gone;
  for (const std::string_view filter : packet.filters) {
    if (unsubscribe_one(filter)) {
      gone.push_back(filter);
      reasons.push_back(static_cast<char>(mqtt::Reason::kSuccess));
    } else {
      reasons.push_back(static_cast<char>(mqtt::Reason::kNoSubscriptionExisted));
    }
  }
  mqtt::UnsubackView unsuback;
  unsuback.packet_id = packet.packet_id;
  unsuback.reasons = reasons;
  send(unsuback);
  publish_subscriptions(worker_, lifecycle_subject(), false, gone);
}

bool ClientSession::unsubscribe_one(std::string_view filter) {
  const std::uint32_t slot = worker_.subscribers().find(filter);
  if (slot == SubscriberTable::kNone) {
    return false;
  }
  const std::size_t place = find_subscription(slot);
  if (place == subscriptions_.size()) {
    return false;
  }
  remove_subscription(place);
  return true;
}

std::size_t ClientSession::find_subscription(std::uint32_t slot) const {
  const auto found = std::find_if(
      subscriptions_.begin(),
      subscriptions_.end(),
      [slot](const Subscribed& subscribed) { return subscribed.slot == slot; }
  );
  return static_cast<std::size_t>(found - subscriptions_.begin());
}

void ClientSession::remove_subscription(std::size_t place) {
  SubscriberTable& table = worker_.subscribers();
  const Subscribed gone = subscriptions_[place];
  table.remove(gone.slot, gone.index);
  if (place + 1 != subscriptions_.size()) {
    subscriptions_[place] = subscriptions_.back();
    const Subscribed& moved = subscriptions_[place];
    table.slot(moved.slot).subscribers[moved.index].place = static_cast<std::uint32_t>(place);
  }
  subscriptions_.pop_back();
}

}  // namespace iotcore::broker
