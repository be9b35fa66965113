#include "broker/session.h"

#include <algorithm>

namespace iotcore::broker {

bool Session::subscribe(SubscriberTable& table, std::string_view filter, Subscriber subscriber) {
  subscriber.session = this;
  const std::uint32_t slot = table.find(filter);
  const std::size_t place = slot == SubscriberTable::kNone ? subscriptions_.size() : place_of(slot);
  subscriber.place = static_cast<std::uint32_t>(place);
  if (place < subscriptions_.size()) {
    // MQTT-3.8.4-3: the new one takes the place of the old one, with no gap.
    table.slot(slot).subscribers[subscriptions_[place].index] = subscriber;
    return false;
  }
  const SubscriberTable::Added added = table.add(slot, filter, subscriber);
  subscriptions_.push_back({added.slot, added.index});
  return true;
}

bool Session::is_subscribed(const SubscriberTable& table, std::string_view filter) const {
  const std::uint32_t slot = table.find(filter);
  return slot != SubscriberTable::kNone && place_of(slot) != subscriptions_.size();
}

bool Session::unsubscribe(SubscriberTable& table, std::string_view filter) {
  const std::uint32_t slot = table.find(filter);
  const std::size_t place = slot == SubscriberTable::kNone ? subscriptions_.size() : place_of(slot);
  if (place == subscriptions_.size()) {
    return false;
  }
  remove(table, place);
  return true;
}

void Session::unsubscribe_all(SubscriberTable& table) {
  while (!subscriptions_.empty()) {
    remove(table, subscriptions_.size() - 1);
  }
}

std::size_t Session::place_of(std::uint32_t slot) const {
  const auto found = std::find_if(
      subscriptions_.begin(),
      subscriptions_.end(),
      [slot](const Subscribed& subscribed) { return subscribed.slot == slot; }
  );
  return static_cast<std::size_t>(found - subscriptions_.begin());
}

void Session::remove(SubscriberTable& table, std::size_t place) {
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
