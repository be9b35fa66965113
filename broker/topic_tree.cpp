#include "broker/topic_tree.h"

#include "base/check.h"
#include "broker/hash_seed.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace iotcore::broker {
void* TopicTree::Memory::allocate(std::size_t bytes) {
  tree_.memory_bytes_.fetch_add(heap_bytes(bytes), std::memory_order_relaxed);
  return ::operator new(bytes);
}

// What waits is counted until it is freed.
void TopicTree::Memory::retire(void* memory, std::size_t bytes) {
  const std::size_t before = tree_.retired_.retired_bytes() + heap_bytes(bytes);
  tree_.retired_.retire(memory, heap_bytes(bytes), [](void* p) { ::operator delete(p); });
  tree_.memory_bytes_.fetch_sub(before - tree_.retired_.retired_bytes(), std::memory_order_relaxed);
}

TopicTree::TopicTree(QuiescentDomain& domain, const Options& options)
    : seed_(options.hash_seed != 0 ? options.hash_seed : random_hash_seed()),
      hash_matches_parent_(options.hash_matches_parent),
      retired_(domain) {}

TopicTree::~TopicTree() {
  drop_below(root_);
}

void TopicTree::collect() {
  const std::lock_guard lock(writer_);
  const std::size_t before = retired_.retired_bytes();
  retired_.collect();
  memory_bytes_.fetch_sub(before - retired_.retired_bytes(), std::memory_order_relaxed);
}

void TopicTree::changed() {
  generation_.fetch_add(1, std::memory_order_release);
}

// --- Paths ---

TopicTree::Node* TopicTree::make_node(std::string_view name) {
  const std::size_t bytes = std::max(sizeof(Node), offsetof(Node, name_size) + 2 + name.size());
  IOTCORE_CHECK(name.size() <= 0xFFFF);
  Node* const node = new (Memory(*this).allocate(bytes)) Node;
  node->name_size = static_cast<std::uint16_t>(name.size());
  if (!name.empty()) {
    std::memcpy(const_cast<char*>(node->name().data()), name.data(), name.size());
  }
  return node;
}

void TopicTree::make_path(std::string_view filter, Path& path) {
  Memory memory(*this);
  path.nodes[0] = &root_;
  Levels levels(filter);
  for (std::string_view name; levels.next(name);) {
    if (name == "#") {
      path.ends_with_hash = true;
      return;
    }
    IOTCORE_CHECK(path.depth < kTopicLevelsMax);
    Node& node = *path.nodes[path.depth];
    Node* next;
    if (name == "+") {
      next = node.plus.load(std::memory_order_relaxed);
      if (next == nullptr) {
        next = make_node(name);
        node.plus.store(next, std::memory_order_release);
      }
    } else {
      const std::uint32_t hash = level_hash(name, seed_);
      next = node.children.find(name, hash);
      if (next == nullptr) {
        next = make_node(name);
        node.children.insert(next, hash, seed_, memory);
      }
    }
    path.nodes[++path.depth] = next;
  }
}

bool TopicTree::find_path(std::string_view filter, Path& path) {
  path.nodes[0] = &root_;
  Levels levels(filter);
  for (std::string_view name; levels.next(name);) {
    if (name == "#") {
      path.ends_with_hash = true;
      return true;
    }
    Node& node = *path.nodes[path.depth];
    Node* const next = name == "+" ? node.plus.load(std::memory_order_relaxed)
                                   : node.children.find(name, level_hash(name, seed_));
    if (next == nullptr) {
      return false;
    }
    path.nodes[++path.depth] = next;
  }
  return true;
}

// Takes away, from the end up, the nodes that are of no more use.
void TopicTree::prune(const Path& path) {
  Memory memory(*this);
  for (std::size_t depth = path.depth; depth > 0 && path.nodes[depth]->is_empty(); --depth) {
    Node* const node = path.nodes[depth];
    Node& parent = *path.nodes[depth - 1];
    if (parent.plus.load(std::memory_order_relaxed) == node) {
      parent.plus.store(nullptr, std::memory_order_release);
    } else {
      parent.children.erase(node, level_hash(node->name(), seed_), memory);
    }
    memory.retire(
        node, std::max(sizeof(Node), offsetof(Node, name_size) + 2 + node->name().size())
    );
  }
}

// --- Entries ---

bool TopicTree::add(std::string_view filter, WorkerId worker, std::uint32_t slot) {
  const std::lock_guard lock(writer_);
  Path path;
  make_path(filter, path);
  LeafWord& end = path.end();
  const bool was_empty = end.load() == 0;
  const bool added = set_entry(end, {slot, worker});
  filter_count_.fetch_add(was_empty ? 1 : 0, std::memory_order_relaxed);
  changed();
  return added;
}

bool TopicTree::remove(std::string_view filter, WorkerId worker) {
  const std::lock_guard lock(writer_);
  Path path;
  if (!find_path(filter, path)) {
    return false;
  }
  LeafWord& end = path.end();
  if (!remove_entry(end, worker)) {
    return false;
  }
  if (end.load() == 0) {
    filter_count_.fetch_sub(1, std::memory_order_relaxed);
    prune(path);
  }
  changed();
  return true;
}

// A leaf with room for so many entries and the groups of another.
TopicTree::Leaf* TopicTree::make_leaf(const Leaf* groups_of, std::uint32_t entries) {
  void* const memory = Memory(*this).allocate(sizeof(Leaf) + entries * sizeof(Entry));
  Leaf* const leaf = new (memory) Leaf{{}, entries};
  if (groups_of != nullptr) {
    leaf->groups.share(groups_of->groups);
  }
  return leaf;
}

void TopicTree::replace_leaf(LeafWord& end, std::uint64_t word) {
  const std::uint64_t old = end.load();
  end.store(word);
  if (old != 0 && !LeafWord::is_entry(old)) {
    Leaf* const leaf = LeafWord::leaf(old);
    Memory(*this).retire(leaf, sizeof(Leaf) + leaf->count * sizeof(Entry));
  }
}

bool TopicTree::set_entry(LeafWord& end, Entry entry) {
  const std::uint64_t word = end.load();
  if (word == 0 || (LeafWord::is_entry(word) && LeafWord::entry(word).worker == entry.worker)) {
    end.store(LeafWord::from_entry(entry));
    return word == 0;
  }
  const Leaf* const old = LeafWord::is_entry(word) ? nullptr : LeafWord::leaf(word);
  const Entry single = old == nullptr ? LeafWord::entry(word) : Entry{};
  const Entry* const begin = old == nullptr ? &single : old->entries();
  const Entry* const finish = begin + (old == nullptr ? 1 : old->count);
  const Entry* const same =
      std::find_if(begin, finish, [&](const Entry& e) { return e.worker == entry.worker; });
  const bool added = same == finish;
  const auto count = static_cast<std::uint32_t>(finish - begin) + (added ? 1U : 0U);
  Leaf* const leaf = make_leaf(old, count);
  std::copy(begin, finish, leaf->entries());
  leaf->entries()[same - begin] = entry;
  replace_leaf(end, LeafWord::from_leaf(leaf));
  return added;
}

bool TopicTree::remove_entry(LeafWord& end, WorkerId worker) {
  const std::uint64_t word = end.load();
  if (word == 0 || LeafWord::is_entry(word)) {
    const bool found = word != 0 && LeafWord::entry(word).worker == worker;
    if (found) {
      end.store(0);
    }
    return found;
  }
  const Leaf& old = *LeafWord::leaf(word);
  const Entry* const begin = old.entries();
  const Entry* const finish = begin + old.count;
  const Entry* const found =
      std::find_if(begin, finish, [&](const Entry& e) { return e.worker == worker; });
  if (found == finish) {
    return false;
  }
  if (old.groups.empty() && old.count <= 2) {
    replace_leaf(end, old.count == 1 ? 0 : LeafWord::from_entry(begin[found == begin ? 1 : 0]));
    return true;
  }
  Leaf* const leaf = make_leaf(&old, old.count - 1);
  std::copy(found + 1, finish, std::copy(begin, found, leaf->entries()));
  replace_leaf(end, LeafWord::from_leaf(leaf));
  return true;
}

// --- Groups ---

void TopicTree::set_group(
    std::string_view filter, std::string_view share_name, const GroupMembers& members
) {
  const std::lock_guard lock(writer_);
  Path path;
  if (members.member_count > 0) {
    make_path(filter, path);
    LeafWord& end = path.end();
    filter_count_.fetch_add(end.load() == 0 ? 1 : 0, std::memory_order_relaxed);
    set_group_members(end, share_name, members);
    changed();
    return;
  }
  if (!find_path(filter, path) || path.end().load() == 0 ||
      !remove_group_members(path.end(), share_name, members.worker)) {
    return;
  }
  if (path.end().load() == 0) {
    filter_count_.fetch_sub(1, std::memory_order_relaxed);
    prune(path);
  }
  changed();
}

std::vector<GroupMembers> TopicTree::group_members(
    std::string_view filter, std::string_view share_name
) {
  const std::lock_guard lock(writer_);
  Path path;
  if (!find_path(filter, path)) {
    return {};
  }
  const std::uint64_t word = path.end().load();
  if (word == 0 || LeafWord::is_entry(word)) {
    return {};
  }
  const Group* const group =
      LeafWord::leaf(word)->groups.find(share_name, level_hash(share_name, seed_));
  if (group == nullptr) {
    return {};
  }
  const GroupMemberList* const list = group->list.load(std::memory_order_relaxed);
  return {list->members(), list->members() + list->count};
}

void TopicTree::set_group_members(
    LeafWord& end, std::string_view share_name, const GroupMembers& members
) {
  Memory memory(*this);
  const std::uint64_t word = end.load();
  if (word == 0 || LeafWord::is_entry(word)) {
    Leaf* const leaf = make_leaf(nullptr, word == 0 ? 0 : 1);
    if (word != 0) {
      leaf->entries()[0] = LeafWord::entry(word);
    }
    end.store(LeafWord::from_leaf(leaf));
  }
  Leaf& leaf = *LeafWord::leaf(end.load());
  const std::uint32_t hash = level_hash(share_name, seed_);
  Group* group = leaf.groups.find(share_name, hash);
  const GroupMemberList* const old =
      group == nullptr ? nullptr : group->list.load(std::memory_order_relaxed);
  const std::span<const GroupMembers> before =
      old == nullptr ? std::span<const GroupMembers>() : std::span(old->members(), old->count);
  const auto same = std::find_if(before.begin(), before.end(), [&](const GroupMembers& m) {
    return m.worker == members.worker;
  });
  const auto count = static_cast<std::uint32_t>(before.size()) + (same == before.end() ? 1U : 0U);
  GroupMemberList* const list = make_member_list(count);
  std::copy(before.begin(), before.end(), list->members());
  list->members()[same - before.begin()] = members;
  if (group != nullptr) {
    group->list.store(list, std::memory_order_release);
    memory.retire(const_cast<GroupMemberList*>(old), old->bytes());
    return;
  }
  void* const space = memory.allocate(sizeof(Group) + share_name.size());
  group = new (space) Group{list, next_group_id_++, static_cast<std::uint32_t>(share_name.size())};
  std::memcpy(static_cast<void*>(group + 1), share_name.data(), share_name.size());
  leaf.groups.insert(group, hash, seed_, memory);
  group_count_.fetch_add(1, std::memory_order_relaxed);
}

bool TopicTree::remove_group_members(LeafWord& end, std::string_view share_name, WorkerId worker) {
  const std::uint64_t word = end.load();
  if (LeafWord::is_entry(word)) {
    return false;
  }
  Memory memory(*this);
  Leaf& leaf = *LeafWord::leaf(word);
  const std::uint32_t hash = level_hash(share_name, seed_);
  Group* const group = leaf.groups.find(share_name, hash);
  if (group == nullptr) {
    return false;
  }
  const GroupMemberList* const old = group->list.load(std::memory_order_relaxed);
  const GroupMembers* const finish = old->members() + old->count;
  const GroupMembers* const found = std::find_if(
      old->members(), finish, [&](const GroupMembers& m) { return m.worker == worker; }
  );
  if (found == finish) {
    return false;
  }
  if (old->count > 1) {
    GroupMemberList* const list = make_member_list(old->count - 1);
    std::copy(found + 1, finish, std::copy(old->members(), found, list->members()));
    group->list.store(list, std::memory_order_release);
  } else {
    // The group keeps its last list for the readers that are still at it.
    leaf.groups.erase(group, hash, memory);
    group_count_.fetch_sub(1, std::memory_order_relaxed);
    memory.retire(group, sizeof(Group) + group->name().size());
    if (leaf.groups.empty() && leaf.count <= 1) {
      replace_leaf(end, leaf.count == 0 ? 0 : LeafWord::from_entry(leaf.entries()[0]));
    }
  }
  memory.retire(const_cast<GroupMemberList*>(old), old->bytes());
  return true;
}

TopicTree::GroupMemberList* TopicTree::make_member_list(std::uint32_t count) {
  void* const space =
      Memory(*this).allocate(sizeof(GroupMemberList) + count * sizeof(GroupMembers));
  return new (space) GroupMemberList{count};
}

// --- The end ---

void TopicTree::drop_leaf(LeafWord& end) {
  Memory memory(*this);
  const std::uint64_t word = end.load();
  if (word != 0 && !LeafWord::is_entry(word)) {
    Leaf* const leaf = LeafWord::leaf(word);
    LevelTable<Group>::Cursor groups(leaf->groups);
    while (Group* const group = groups.next()) {
      ::operator delete(const_cast<GroupMemberList*>(group->list.load(std::memory_order_relaxed)));
      ::operator delete(group);
    }
    leaf->groups.clear(memory);
    ::operator delete(leaf);
  }
}

// Depth is bounded by kTopicLevelsMax, and so is the recursion.
void TopicTree::drop_below(Node& node) {
  Memory memory(*this);
  drop_leaf(node.here);
  drop_leaf(node.hash);
  if (Node* const plus = node.plus.load(std::memory_order_relaxed)) {
    drop_below(*plus);
    ::operator delete(plus);
  }
  LevelTable<Node>::Cursor children(node.children);
  while (Node* const child = children.next()) {
    drop_below(*child);
    ::operator delete(child);
  }
  node.children.clear(memory);
}

}  // namespace iotcore::broker
