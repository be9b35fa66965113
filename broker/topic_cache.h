#pragma once

#include "base/ids.h"
#include "broker/subscriber_table.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::broker {

class TopicTree;

// One worker's share in a shared subscription group, as the tree knew it.
struct GroupMember {
  WorkerId worker{};
  std::uint32_t slot = 0;
  std::uint32_t members = 0;
};

// Everybody who gets messages of one topic.
struct MatchSet {
  std::vector<SlotTarget> local;  // slots of this worker

  struct Remote {
    WorkerId worker{};
    std::uint32_t slot = 0;
  };

  std::vector<Remote> remote;              // slots of others, ordered by worker
  std::vector<std::uint32_t> consumers;    // slots of the consumer table
  std::vector<GroupMember> group_members;  // all groups, one after the other
  std::vector<std::uint32_t> group_ends;   // end of each group in group_members
  std::vector<std::uint64_t> group_ids;    // of each group, good as long as it has members

  bool empty() const {
    return local.empty() && remote.empty() && consumers.empty() && group_members.empty();
  }

  void clear() {
    local.clear();
    remote.clear();
    consumers.clear();
    group_members.clear();
    group_ends.clear();
    group_ids.clear();
  }
};

// Match results of hot topics, for one worker: direct mapped, bounded, each entry good for one generation of the tree.
class TopicCache {
 public:
  // `entries` is a power of two, or 0: then every topic is matched anew.
  TopicCache(const TopicTree& tree, WorkerId worker, std::size_t entries);

  // Valid until the next call. `hash` is stable_hash(topic).
  const MatchSet& find(std::string_view topic, std::uint64_t hash);

 private:
  struct Entry {
    std::uint64_t hash = 0;
    std::uint64_t generation = 0;  // 0: empty; the tree begins at 1
    std::string topic;
    MatchSet matches;
  };

  void match(std::string_view topic, MatchSet& out) const;

  const TopicTree& tree_;
  WorkerId worker_;
  std::size_t mask_;
  std::vector<Entry> entries_;
};

}  // namespace iotcore::broker
