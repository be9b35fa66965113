#include "broker/retained_replay.h"

#include "base/memory_use.h"

#include <algorithm>

namespace iotcore::broker {

RetainedReplay::~RetainedReplay() {
  MemoryUse::add(-counted_bytes_);
}

void RetainedReplay::want(std::string_view filter, mqtt::Qos qos, std::uint32_t subscription_id) {
  forget(filter);
  wanted_.push_back({std::string(filter), qos, subscription_id, retained_.changes()});
}

void RetainedReplay::forget(std::string_view filter) {
  const auto found = std::find_if(wanted_.begin(), wanted_.end(), [filter](const Wanted& wanted) {
    return wanted.filter == filter;
  });
  if (found == wanted_.end()) {
    return;
  }
  if (found == wanted_.begin()) {
    next_filter();
  } else {
    wanted_.erase(found);
  }
}

void RetainedReplay::next_filter() {
  wanted_.pop_front();
  shard_ = 0;
  at_ = 0;
  found_.clear();
}

const RetainedReplay::Item* RetainedReplay::peek() {
  while (!wanted_.empty()) {
    if (at_ < found_.size()) {
      const Message::Ref& message = found_[at_];
      if (retained_.changes() == found_at_ || retained_.is_kept(*message)) {
        item_ = {message, wanted_.front().qos, wanted_.front().subscription_id};
        return &item_;
      }
      ++at_;
    } else if (shard_ < RetainedMessages::kShards) {
      collect();
    } else {
      next_filter();
    }
  }
  return nullptr;
}

void RetainedReplay::pop() {
  found_[at_++] = {};
}

void RetainedReplay::collect() {
  found_.clear();
  at_ = 0;
  found_at_ = retained_.changes();
  retained_.collect(shard_++, wanted_.front().filter, wanted_.front().since, found_);
  const auto bytes = static_cast<std::int64_t>(found_.capacity() * sizeof(Message::Ref));
  MemoryUse::add(bytes - counted_bytes_);
  counted_bytes_ = bytes;
}

}  // namespace iotcore::broker
