#pragma once

#include "broker/message.h"
#include "broker/mqtt/packet.h"
#include "broker/retained.h"

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::broker {

// Retained messages on their way to one client, for its new subscriptions: a million of them do not fit into its connection at once, so they are
// looked up shard by shard, as they are taken. What is published meanwhile reaches the client by its subscription, and what that replaced is left out.
class RetainedReplay {
 public:
  explicit RetainedReplay(RetainedMessages& retained) : retained_(retained) {}

  ~RetainedReplay();
  RetainedReplay(const RetainedReplay&) = delete;
  RetainedReplay& operator=(const RetainedReplay&) = delete;

  // To be called once the subscription is in the tree. A filter that is on its way already begins anew, behind the others.
  void want(std::string_view filter, mqtt::Qos qos, std::uint32_t subscription_id);
  void forget(std::string_view filter);

  struct Item {
    Message::Ref message;
    mqtt::Qos qos;  // granted
    std::uint32_t subscription_id;
  };

  // The next one, until pop(); null at the end.
  const Item* peek();
  void pop();

 private:
  struct Wanted {
    std::string filter;
    mqtt::Qos qos;
    std::uint32_t subscription_id;
    std::uint64_t since;  // change of the retained messages
  };

  void collect();
  void next_filter();

  RetainedMessages& retained_;
  std::deque<Wanted> wanted_;
  // Of the first of them.
  std::size_t shard_ = 0;
  std::vector<Message::Ref> found_;
  std::size_t at_ = 0;
  std::uint64_t found_at_ = 0;  // which change
  std::int64_t counted_bytes_ = 0;
  Item item_ = {};
};

}  // namespace iotcore::broker
