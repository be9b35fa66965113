#include "broker/topic_aliases.h"

#include "base/memory_use.h"

namespace iotcore::broker {
namespace {

std::int64_t signed_size(std::string_view text) {
  return static_cast<std::int64_t>(text.size());
}

}  // namespace

InboundAliases::~InboundAliases() {
  for (const std::string& topic : topics_) {
    MemoryUse::add(-signed_size(topic));
  }
}

void InboundAliases::set(std::size_t alias, std::string_view topic) {
  if (topics_.size() < alias) {
    topics_.resize(alias);
  }
  std::string& known = topics_[alias - 1];
  MemoryUse::add(signed_size(topic) - signed_size(known));
  known = topic;
}

OutboundAliases::~OutboundAliases() {
  for (const Entry& entry : entries_) {
    MemoryUse::add(-signed_size(entry.topic));
  }
}

OutboundAliases::Use OutboundAliases::use(std::string_view topic) {
  if (const auto found = alias_of_.find(topic); found != alias_of_.end()) {
    entries_[found->second - 1].used = true;
    return {found->second, true};
  }
  if (entries_.size() < maximum_) {
    entries_.push_back({std::string(topic), false});
    MemoryUse::add(signed_size(topic));
    const auto alias = static_cast<std::uint16_t>(entries_.size());
    alias_of_.emplace(entries_.back().topic, alias);
    return {alias, false};
  }
  if (entries_.empty()) {
    return {};
  }
  Entry& candidate = entries_[hand_];
  const auto alias = static_cast<std::uint16_t>(hand_ + 1);
  hand_ = (hand_ + 1) % entries_.size();
  if (candidate.used) {
    candidate.used = false;
    return {};
  }
  alias_of_.erase(candidate.topic);
  MemoryUse::add(signed_size(topic) - signed_size(candidate.topic));
  candidate.topic = topic;
  alias_of_.emplace(candidate.topic, alias);
  return {alias, false};
}

}  // namespace iotcore::broker
