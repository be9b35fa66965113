#pragma once

#include "base/ids.h"
#include "broker/level_table.h"
#include "broker/quiescent.h"
#include "broker/topic.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

namespace iotcore::broker {

// A share group's members on one worker.
struct GroupMembers {
  WorkerId worker{};
  std::uint32_t slot = 0;          // in that worker's table of subscribers
  std::uint32_t member_count = 0;  // at least 1
};

// A `$share` group as a match meets it: each message goes to one of its members. Holds until the
// reader is next quiescent.
struct GroupView {
  std::uint64_t id = 0;  // of the (share name, filter) pair while it has members; never used again
  std::string_view share_name;
  std::span<const GroupMembers> workers;  // never empty
};

// Which workers want which topics: one tree for all workers. Writers take a lock among themselves;
// readers none, and no reference count: match() only on a thread that is online in the
// QuiescentDomain.
//
// A filter has at most one entry per worker: a slot in that worker's own table of subscribers. So a
// match yields one entry per worker and filter that matched (a worker may be named several times,
// once for each of its filters), and a second SUBSCRIBE on a worker for the same filter changes
// nothing here. Filters are valid ones (topic.h), without `$share/name/`.
class TopicTree {
 public:
  struct Options {
    bool hash_matches_parent = true;  // `a/#` matches `a` (MQTT 4.7.1.2)
    std::uint64_t hash_seed = 0;      // 0: random
  };

  explicit TopicTree(QuiescentDomain& domain) : TopicTree(domain, Options{}) {}

  TopicTree(QuiescentDomain& domain, const Options& options);
  TopicTree(const TopicTree&) = delete;
  TopicTree& operator=(const TopicTree&) = delete;
  ~TopicTree();

  // True if the worker had no entry for the filter; otherwise its slot is replaced.
  bool add(std::string_view filter, WorkerId worker, std::uint32_t slot);
  // False if it had none.
  bool remove(std::string_view filter, WorkerId worker);
  // The worker's members in the group are now so many, found in that slot; 0 takes the worker out.
  void set_group(std::string_view filter, std::string_view share_name, const GroupMembers& members);

  // The members of a group, for who does not come by a match. Takes the writers' lock: not for the usual way of a message.
  std::vector<GroupMembers> group_members(std::string_view filter, std::string_view share_name);

  // Visitor: on_subscribers(WorkerId, std::uint32_t slot) and on_group(const GroupView&).
  template <typename Visitor>
  void match(std::string_view topic, Visitor&& visitor) const;

  // Grows with every change. A match may be kept and used again as long as the generation read
  // before it stands.
  std::uint64_t generation() const { return generation_.load(std::memory_order_acquire); }

  // Filters with at least one entry or group.
  std::size_t filter_count() const { return filter_count_.load(std::memory_order_relaxed); }

  // Shared subscriptions with at least one member.
  std::size_t group_count() const { return group_count_.load(std::memory_order_relaxed); }

  // What the tree holds from the allocator, what waits to be freed included.
  std::size_t memory_bytes() const { return memory_bytes_.load(std::memory_order_relaxed); }

  // Frees what waits and can be freed; for now and then, when there are no changes that do it on
  // the way.
  void collect();

 private:
  struct Entry {
    std::uint32_t slot;
    WorkerId worker;
  };

  // Immutable member list; replaced as a whole.
  struct GroupMemberList {
    std::uint32_t count;

    GroupMembers* members() { return reinterpret_cast<GroupMembers*>(this + 1); }

    const GroupMembers* members() const { return reinterpret_cast<const GroupMembers*>(this + 1); }

    std::size_t bytes() const { return sizeof(*this) + count * sizeof(GroupMembers); }
  };

  struct Group {
    std::atomic<const GroupMemberList*> list;
    std::uint64_t id;
    std::uint32_t name_size;

    std::string_view name() const { return {reinterpret_cast<const char*>(this + 1), name_size}; }
  };

  // The entries of one filter, when there is more than a single plain one. Entries are immutable,
  // groups change in place.
  struct Leaf {
    LevelTable<Group> groups;
    std::uint32_t count;

    Entry* entries() { return reinterpret_cast<Entry*>(this + 1); }

    const Entry* entries() const { return reinterpret_cast<const Entry*>(this + 1); }
  };

  // A filter's end: nothing (0), one entry in the word itself (the commonest), or a Leaf.
  class LeafWord {
   public:
    std::uint64_t load() const { return word_.load(std::memory_order_acquire); }

    void store(std::uint64_t word) { word_.store(word, std::memory_order_release); }

    static bool is_entry(std::uint64_t word) { return (word & 1U) != 0; }

    static Entry entry(std::uint64_t word) {
      return {
          static_cast<std::uint32_t>(word >> 32U),
          static_cast<WorkerId>(static_cast<std::uint16_t>(word >> 16U))};
    }

    static std::uint64_t from_entry(Entry e) {
      return (static_cast<std::uint64_t>(e.slot) << 32U) |
             (static_cast<std::uint64_t>(e.worker) << 16U) | 1U;
    }

    static Leaf* leaf(std::uint64_t word) { return reinterpret_cast<Leaf*>(word); }

    static std::uint64_t from_leaf(const Leaf* leaf) {
      return reinterpret_cast<std::uint64_t>(leaf);
    }

   private:
    std::atomic<std::uint64_t> word_{0};
  };

  // One level of some filters; its name follows it in memory.
  struct Node {
    LevelTable<Node> children;
    std::atomic<Node*> plus{nullptr};
    LeafWord here;  // filters that end here
    LeafWord hash;  // filters that end with `#` below here
    std::uint16_t name_size = 0;

    std::string_view name() const {
      return {reinterpret_cast<const char*>(&name_size + 1), name_size};
    }

    bool is_empty() const {
      return children.empty() && plus.load(std::memory_order_relaxed) == nullptr &&
             here.load() == 0 && hash.load() == 0;
    }
  };

  // No members that initialise themselves: a match has an array of these and uses the first few.
  struct Level {
    const char* data;
    std::uint32_t size;
    std::uint32_t hash;

    std::string_view name() const { return {data, size}; }
  };

  // The tree's end of the allocator: what is given back goes through quiescence.
  class Memory {
   public:
    explicit Memory(TopicTree& tree) : tree_(tree) {}

    void* allocate(std::size_t bytes);
    void retire(void* memory, std::size_t bytes);

   private:
    TopicTree& tree_;
  };

  // The nodes from the root to the end of a filter, and which of the two ends it is.
  struct Path {
    std::array<Node*, kTopicLevelsMax + 1> nodes;
    std::size_t depth = 0;  // nodes[depth] is the last
    bool ends_with_hash = false;

    LeafWord& end() const { return ends_with_hash ? nodes[depth]->hash : nodes[depth]->here; }
  };

  bool find_path(std::string_view filter, Path& path);
  void make_path(std::string_view filter, Path& path);
  Node* make_node(std::string_view name);
  void prune(const Path& path);
  bool set_entry(LeafWord& end, Entry entry);
  bool remove_entry(LeafWord& end, WorkerId worker);
  void set_group_members(LeafWord& end, std::string_view share_name, const GroupMembers& members);
  bool remove_group_members(LeafWord& end, std::string_view share_name, WorkerId worker);
  GroupMemberList* make_member_list(std::uint32_t count);
  Leaf* make_leaf(const Leaf* groups_of, std::uint32_t entries);
  void replace_leaf(LeafWord& end, std::uint64_t word);
  void drop_leaf(LeafWord& end);
  void drop_below(Node& node);
  void changed();

  template <typename Visitor>
  static void visit(const LeafWord& end, Visitor& visitor);

  const std::uint64_t seed_;
  const bool hash_matches_parent_;
  Node root_;
  alignas(64) std::atomic<std::uint64_t> generation_{1};
  std::atomic<std::size_t> filter_count_{0};
  std::atomic<std::size_t> group_count_{0};
  std::atomic<std::size_t> memory_bytes_{0};
  std::mutex writer_;  // and what follows
  RetireList retired_;
  std::uint64_t next_group_id_ = 1;
};

template <typename Visitor>
void TopicTree::visit(const LeafWord& end, Visitor& visitor) {
  const std::uint64_t word = end.load();
  if (word == 0) [[likely]] {
    return;
  }
  if (LeafWord::is_entry(word)) {
    const Entry entry = LeafWord::entry(word);
    visitor.on_subscribers(entry.worker, entry.slot);
    return;
  }
  const Leaf& leaf = *LeafWord::leaf(word);
  for (std::uint32_t i = 0; i < leaf.count; ++i) {
    visitor.on_subscribers(leaf.entries()[i].worker, leaf.entries()[i].slot);
  }
  typename LevelTable<Group>::Cursor groups(leaf.groups);
  while (const Group* const group = groups.next()) {
    const GroupMemberList* const list = group->list.load(std::memory_order_acquire);
    visitor.on_group(GroupView{group->id, group->name(), {list->members(), list->count}});
  }
}

template <typename Visitor>
void TopicTree::match(std::string_view topic, Visitor&& visitor) const {
  std::array<Level, kTopicLevelsMax> levels;
  std::size_t count = 0;
  for (std::size_t begin = 0, i = 0;; ++i) {
    if (i == topic.size() || topic[i] == '/') {
      if (count == kTopicLevelsMax) [[unlikely]] {
        return;
      }
      const std::string_view name = topic.substr(begin, i - begin);
      levels[count++] = {
          name.data(), static_cast<std::uint32_t>(name.size()), level_hash(name, seed_)};
      begin = i + 1;
      if (i == topic.size()) {
        break;
      }
    }
  }

  // Depth first, the named child before `+`. At most one `+` waits per level, so the waiting ones
  // fit an array.
  struct Branch {
    const Node* node;
    std::size_t depth;
  };

  std::array<Branch, kTopicLevelsMax> waiting;
  std::size_t waiting_count = 0;
  const Node* node = &root_;
  std::size_t depth = 0;
  const bool root_wildcards = topic.empty() || topic[0] != '$';  // MQTT-4.7.2-1
  for (;;) {
    const bool wildcards = depth > 0 || root_wildcards;
    if (wildcards && (depth < count || hash_matches_parent_)) {
      visit(node->hash, visitor);
    }
    const Node* next = nullptr;
    if (depth == count) {
      visit(node->here, visitor);
    } else {
      next = node->children.find(levels[depth].name(), levels[depth].hash);
      if (wildcards) {
        const Node* const plus = node->plus.load(std::memory_order_acquire);
        if (plus != nullptr && next != nullptr) {
          waiting[waiting_count++] = {plus, depth + 1};
        } else if (plus != nullptr) {
          next = plus;
        }
      }
    }
    if (next != nullptr) {
      node = next;
      ++depth;
    } else if (waiting_count > 0) {
      const Branch& branch = waiting[--waiting_count];
      node = branch.node;
      depth = branch.depth;
    } else {
      return;
    }
  }
}

}  // namespace iotcore::broker
