// The SUBSCRIBE and UNSUBSCRIBE part of ClientSession (MQTT5 3.8 to 3.11).
#include "base/log.h"
#include "base/memory_use.h"
#include "broker/client_held_packet.h"
#include "broker/client_session.h"
#include "broker/message_limits.h"
#include "broker/mqtt/encoder.h"
#include "broker/reserved_topics.h"
#include "broker/retained_replay.h"
#include "broker/topic.h"
#include "broker/topic_tree.h"
#include "broker/worker_broker.h"
#include "broker/worker_sessions.h"

#include <algorithm>

namespace iotcore::broker {
namespace {

// Of the first refusal among the codes of a SUBACK.
const char* why_refused(std::string_view reasons) {
  const auto first = std::find_if(reasons.begin(), reasons.end(), [](char reason) {
    return mqtt::is_error(static_cast<mqtt::Reason>(static_cast<std::uint8_t>(reason)));
  });
  switch (static_cast<mqtt::Reason>(static_cast<std::uint8_t>(*first))) {
    case mqtt::Reason::kNotAuthorized:
      return "not allowed to subscribe to a topic filter";
    case mqtt::Reason::kTopicFilterInvalid:
      return "not a topic filter to subscribe to";
    default:
      return "a limit of subscriptions is reached";
  }
}

}  // namespace

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
  if (!answer_fits(packet.entries.count())) {
    return;
  }
  const std::uint32_t subscription_id =
      packet.properties.number_or(mqtt::Property::kSubscriptionIdentifier, 0);
  if (subscription_id != 0 && !worker_.options().subscription_identifiers) {
    on_fault({Errc::kSubscriptionIdsNotSupported, "subscription identifiers are not supported"});
    return;
  }

  const bool too_many = packet.entries.count() > worker_.options().filters_per_subscribe_max;
  if (too_many) {
    worker_.limits().reached(Limit::kFiltersPerSubscribe);
  }
  std::string reasons;
  std::vector<RetainedWanted> retained;
  std::vector<std::string_view> granted;
  for (const mqtt::SubscriptionView wanted : packet.entries) {
    bool is_new = false;
    const mqtt::Reason reason =
        too_many ? mqtt::Reason::kQuotaExceeded : subscribe_one(wanted, subscription_id, is_new);
    reasons.push_back(static_cast<char>(reason));
    if (mqtt::is_error(reason)) {
      continue;
    }
    granted.push_back(wanted.filter);
    if (!wanted.filter.starts_with("$share/") &&
        (wanted.retain_handling == mqtt::RetainHandling::kSend ||
         (wanted.retain_handling == mqtt::RetainHandling::kSendIfNew && is_new))) {
      // MQTT-3.8.4-8: not above what was granted.
      retained.push_back({std::string(wanted.filter), static_cast<Qos>(reason), subscription_id});
    }
  }
  mqtt::SubackView suback;
  suback.packet_id = packet.packet_id;
  suback.reasons = reasons;
  if (is_v5() && granted.size() != reasons.size()) {
    explain(suback, why_refused(reasons));
  }
  if (session_->is_persistent() && !granted.empty()) {
    auto* held = new HeldPacket(*this, suback, std::move(retained));
    worker_.turn().durable_rows(held->hold());
  } else {
    send(suback);
    for (const RetainedWanted& wanted : retained) {
      send_retained(wanted.filter, wanted.qos, wanted.subscription_id);
    }
  }
  publish_subscriptions(worker_, lifecycle_subject(), true, granted);
}

// Whether the client takes a SUBACK or UNSUBACK of so many codes (MQTT-3.1.2-24); it is closed if not.
bool ClientSession::answer_fits(std::size_t codes) {
  constexpr std::size_t kHeaderMax = 5 + 2 + 1;  // with packet identifier and no properties
  if (codes + kHeaderMax <= packet_bytes_max_) {
    return true;
  }
  const std::string reasons(codes, '\0');
  mqtt::SubackView answer;
  answer.reasons = reasons;
  if (mqtt::encoded_size(version_, answer) <= packet_bytes_max_) {
    return true;
  }
  on_fault({Errc::kPacketTooLarge, "MQTT-3.1.2-24: the client takes no answer of that length"});
  return false;
}

mqtt::Reason ClientSession::subscribe_one(
    const mqtt::SubscriptionView& wanted, std::uint32_t subscription_id, bool& is_new
) {
  const BrokerOptions& options = worker_.options();
  const std::optional<FilterView> filter = parse_filter(wanted.filter, topic_limits(options));
  if (!filter || !client_may_subscribe(filter->filter, options.sys_topics_interval_s != 0)) {
    return mqtt::Reason::kTopicFilterInvalid;
  }
  if (!allows(Action::kSubscribe, wanted.filter)) {
    log(worker_.refusal_log_level(),
        "subscribe.refused",
        {{"client_id", client_id()}, {"filter", wanted.filter}, {"why", "not allowed"}});
    return mqtt::Reason::kNotAuthorized;
  }
  Subscriber subscriber;
  subscriber.qos = std::min(wanted.qos, static_cast<Qos>(options.qos_max));
  subscriber.no_local = wanted.no_local;
  subscriber.retain_as_published = wanted.retain_as_published;
  subscriber.subscription_id = subscription_id;
  const auto granted = static_cast<mqtt::Reason>(subscriber.qos);

  SubscriberTable& table = worker_.subscribers();
  const bool memory_full = MemoryUse::level() == MemoryUse::Level::kFull;
  const bool at_limit = session_->subscriptions().size() >= options.subscriptions_per_client_max;
  if ((at_limit || memory_full) && !session_->is_subscribed(table, wanted.filter)) {
    worker_.limits().reached(at_limit ? Limit::kSubscriptions : Limit::kMemory);
    return mqtt::Reason::kQuotaExceeded;
  }
  if (filter->is_shared() && !session_->is_subscribed(table, wanted.filter) &&
      !group_has_room(*filter)) {
    worker_.limits().reached(Limit::kSharedGroups);
    return mqtt::Reason::kQuotaExceeded;
  }
  is_new = session_->subscribe(table, wanted.filter, subscriber);
  if (session_->is_persistent()) {
    worker_.turn().rows().put(
        store::Table::kSessions,
        subscription_key(session_->number(), wanted.filter),
        encode(subscriber)
    );
  }
  return granted;
}

// Whether a shared subscription takes one more member. Those who ask on several workers at once may all be told so.
bool ClientSession::group_has_room(const FilterView& filter) const {
  const BrokerOptions& options = worker_.options();
  if (options.share_groups_max == 0 && options.share_members_max == 0) {
    return true;
  }
  TopicTree& tree = worker_.shared().tree();
  const std::vector<GroupMembers> workers = tree.group_members(filter.filter, filter.share_name);
  if (workers.empty()) {
    return options.share_groups_max == 0 || tree.group_count() < options.share_groups_max;
  }
  std::size_t members = 0;
  for (const GroupMembers& worker : workers) {
    members += worker.member_count;
  }
  return options.share_members_max == 0 || members < options.share_members_max;
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
  if (!answer_fits(packet.filters.count())) {
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
  if (is_v5() && gone.size() != reasons.size()) {
    explain(unsuback, "there was no subscription to a topic filter");
  }
  if (session_->is_persistent() && !gone.empty()) {
    auto* held = new HeldPacket(*this, unsuback, {});
    worker_.turn().durable_rows(held->hold());
  } else {
    send(unsuback);
  }
  publish_subscriptions(worker_, lifecycle_subject(), false, gone);
}

bool ClientSession::unsubscribe_one(std::string_view filter) {
  if (rare_ != nullptr && rare_->retained != nullptr) {
    rare_->retained->forget(filter);
  }
  if (const std::uint32_t slot = worker_.subscribers().find(filter);
      rare_ != nullptr && slot != SubscriberTable::kNone) {
    // What has been given to this client is delivered to this client (MQTT-3.10.4-3).
    rare_->shared_unacked.forget(slot);
    for (Queued& queued : rare_->queue) {
      queued.share_slot = queued.share_slot == slot ? SubscriberTable::kNone : queued.share_slot;
    }
  }
  if (!session_->unsubscribe(worker_.subscribers(), filter)) {
    return false;
  }
  if (session_->is_persistent()) {
    worker_.turn().rows().erase(
        store::Table::kSessions, subscription_key(session_->number(), filter)
    );
  }
  return true;
}

}  // namespace iotcore::broker
