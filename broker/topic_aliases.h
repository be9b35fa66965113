#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace iotcore::broker {

// The topic aliases that a client has set on one connection (MQTT5 3.3.2.3.4), counted in MemoryUse.
class InboundAliases {
 public:
  InboundAliases() = default;
  InboundAliases(const InboundAliases&) = delete;
  InboundAliases& operator=(const InboundAliases&) = delete;
  ~InboundAliases();

  // `alias` is from 1 to our maximum.
  void set(std::size_t alias, std::string_view topic);

  // Empty: never set.
  std::string_view topic(std::size_t alias) const {
    return alias <= topics_.size() ? std::string_view(topics_[alias - 1]) : std::string_view();
  }

 private:
  std::vector<std::string> topics_;
};

// The topic aliases that the server has given out on one connection (MQTT5 3.3.2.3.4). Pure.
//
// The first topics get one each. When all are taken, a topic that comes without one makes the next alias in turn prove itself: one that has not
// been used since it was last looked at goes to the newcomer. So topics that are sent once cost a look each, and those that are sent often keep
// their alias.
class OutboundAliases {
 public:
  explicit OutboundAliases(std::uint16_t maximum) : maximum_(maximum) {}

  OutboundAliases(const OutboundAliases&) = delete;
  OutboundAliases& operator=(const OutboundAliases&) = delete;
  ~OutboundAliases();

  struct Use {
    std::uint16_t alias = 0;  // 0: send the topic alone
    bool is_known = false;    // the topic need not be sent
  };

  // For a packet that is going to be sent.
  Use use(std::string_view topic);

 private:
  struct Entry {
    std::string topic;
    bool used = false;
  };

  const std::uint16_t maximum_;
  std::deque<Entry> entries_;  // alias - 1; never moved once there
  std::unordered_map<std::string_view, std::uint16_t> alias_of_;  // keys: views of Entry::topic
  std::size_t hand_ = 0;
};

}  // namespace iotcore::broker
