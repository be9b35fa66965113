#include "broker/topic_cache.h"

#include "base/check.h"
#include "broker/consumer_table.h"
#include "broker/topic_tree.h"

#include <algorithm>
#include <bit>

namespace iotcore::broker {

TopicCache::TopicCache(const TopicTree& tree, WorkerId worker, std::size_t entries)
    : tree_(tree), worker_(worker), mask_(std::max<std::size_t>(entries, 1) - 1) {
  IOTCORE_CHECK(std::has_single_bit(mask_ + 1));
  entries_.resize(mask_ + 1);
}

const MatchSet& TopicCache::find(std::string_view topic, std::uint64_t hash) {
  Entry& entry = entries_[hash & mask_];
  const std::uint64_t generation = tree_.generation();
  if (entry.generation == generation && entry.hash == hash && entry.topic == topic) [[likely]] {
    return entry.matches;
  }
  entry.matches.clear();
  match(topic, entry.matches);
  entry.generation = generation;
  entry.hash = hash;
  entry.topic.assign(topic);
  return entry.matches;
}

void TopicCache::match(std::string_view topic, MatchSet& out) const {
  struct Visitor {
    MatchSet& out;
    WorkerId self;

    void on_subscribers(WorkerId worker, std::uint32_t slot) const {
      if (worker == self) {
        out.local.push_back({slot});
      } else if (worker == kConsumers) {
        out.consumers.push_back(slot);
      } else {
        out.remote.push_back({worker, slot});
      }
    }

    void on_group(const GroupView& group) const {
      for (const GroupMembers& members : group.workers) {
        out.group_members.push_back({members.worker, members.slot, members.member_count});
      }
      out.group_ends.push_back(static_cast<std::uint32_t>(out.group_members.size()));
      out.group_ids.push_back(group.id);
    }
  };

  tree_.match(topic, Visitor{out, worker_});
  std::sort(out.remote.begin(), out.remote.end(), [](const auto& a, const auto& b) {
    return index(a.worker) < index(b.worker);
  });
}

}  // namespace iotcore::broker
