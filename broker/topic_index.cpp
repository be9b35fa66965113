#include "broker/topic_index.h"

#include "base/check.h"
#include "broker/hash_seed.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <new>

namespace iotcore::broker {
void* TopicIndex::Memory::allocate(std::size_t bytes) {
  index.memory_bytes_ += heap_bytes(bytes);
  return ::operator new(bytes);
}

void TopicIndex::Memory::retire(void* memory, std::size_t bytes) {
  index.memory_bytes_ -= heap_bytes(bytes);
  ::operator delete(memory);
}

TopicIndex::TopicIndex(bool hash_matches_parent, std::uint64_t hash_seed)
    : seed_(hash_seed != 0 ? hash_seed : random_hash_seed()),
      hash_matches_parent_(hash_matches_parent),
      root_(std::make_unique<Node>()) {}

// Depth is bounded by kTopicLevelsMax, and so is the recursion.
void TopicIndex::drop_below(Node& node) {
  Memory memory{*this};
  LevelTable<Node>::Cursor children(node.children);
  while (Node* const child = children.next()) {
    drop_below(*child);
    ::operator delete(child);
  }
  node.children.clear(memory);
}

TopicIndex::~TopicIndex() {
  drop_below(*root_);
}

std::size_t TopicIndex::node_bytes(std::string_view name) {
  return std::max(sizeof(Node), offsetof(Node, name_size) + 2 + name.size());
}

TopicIndex::Node* TopicIndex::make_node(std::string_view name) {
  IOTCORE_CHECK(name.size() <= 0xFFFF);
  Node* const node = new (Memory{*this}.allocate(node_bytes(name))) Node;
  node->name_size = static_cast<std::uint16_t>(name.size());
  if (!name.empty()) {
    std::memcpy(const_cast<char*>(node->name().data()), name.data(), name.size());
  }
  return node;
}

void* TopicIndex::set(std::string_view topic, void* value) {
  IOTCORE_CHECK(value != nullptr);
  Memory memory{*this};
  Node* node = root_.get();
  std::size_t depth = 0;
  Levels levels(topic);
  for (std::string_view name; levels.next(name);) {
    IOTCORE_CHECK(++depth <= kTopicLevelsMax);
    const std::uint32_t hash = level_hash(name, seed_);
    Node* next = node->children.find(name, hash);
    if (next == nullptr) {
      next = make_node(name);
      node->children.insert(next, hash, seed_, memory);
    }
    node = next;
  }
  size_ += node->value == nullptr ? 1 : 0;
  return std::exchange(node->value, value);
}

void* TopicIndex::find(std::string_view topic) const {
  const Node* node = root_.get();
  Levels levels(topic);
  for (std::string_view name; node != nullptr && levels.next(name);) {
    node = node->children.find(name, level_hash(name, seed_));
  }
  return node == nullptr ? nullptr : node->value;
}

void* TopicIndex::erase(std::string_view topic) {
  std::array<Node*, kTopicLevelsMax + 1> path;
  std::size_t depth = 0;
  path[0] = root_.get();
  Levels levels(topic);
  for (std::string_view name; levels.next(name);) {
    Node* const next = path[depth]->children.find(name, level_hash(name, seed_));
    if (next == nullptr) {
      return nullptr;
    }
    path[++depth] = next;
  }
  void* const value = std::exchange(path[depth]->value, nullptr);
  size_ -= value == nullptr ? 0 : 1;
  Memory memory{*this};
  for (; depth > 0 && path[depth]->value == nullptr && path[depth]->children.empty(); --depth) {
    Node* const node = path[depth];
    path[depth - 1]->children.erase(node, level_hash(node->name(), seed_), memory);
    memory.retire(node, node_bytes(node->name()));
  }
  return value;
}

void TopicIndex::Found::append_topic(std::string& out) const {
  for (std::size_t i = 1; i < count_; ++i) {
    if (i > 1) {
      out.push_back('/');
    }
    out.append(steps_[i].node->name());
  }
}

TopicIndex::Walk::Walk(const TopicIndex& index, std::string_view filter) : index_(index) {
  Levels levels(filter);
  for (std::string_view name; levels.next(name);) {
    if (name == "#") {
      ends_with_hash_ = true;
      break;
    }
    if (level_count_ == kTopicLevelsMax) {
      done_ = true;
      return;
    }
    levels_[level_count_++] = {
        name.data(), static_cast<std::uint32_t>(name.size()), level_hash(name, index.seed_)};
  }
  enter(index.root_.get());
}

void TopicIndex::Walk::enter(const Node* node) {
  steps_[depth_] = {node, LevelTable<Node>::Cursor(node->children)};
  entered_ = true;
}

// Whether the filter matches the topic that ends at the node where the walk stands.
bool TopicIndex::Walk::matches_here() const {
  if (steps_[depth_].node->value == nullptr) {
    return false;
  }
  return depth_ == level_count_ ? !ends_with_hash_ || index_.hash_matches_parent_
                                : depth_ > level_count_;
}

const TopicIndex::Node* TopicIndex::Walk::next_child() {
  Step& step = steps_[depth_];
  if (depth_ < level_count_ && !levels_[depth_].is_plus()) {
    // A named level has one child at most: taken at the first visit.
    return std::exchange(entered_, false)
               ? step.node->children.find(levels_[depth_].name(), levels_[depth_].hash)
               : nullptr;
  }
  entered_ = false;
  if (depth_ >= level_count_ && !ends_with_hash_) {
    return nullptr;
  }
  const Node* child = step.cursor.next();
  // MQTT-4.7.2-1
  while (depth_ == 0 && child != nullptr && child->name().starts_with('$')) {
    child = step.cursor.next();
  }
  return child;
}

bool TopicIndex::Walk::next() {
  while (!done_) {
    if (const Node* const child = next_child()) {
      ++depth_;
      enter(child);
      if (matches_here()) {
        return true;
      }
    } else if (depth_ == 0) {
      done_ = true;
    } else {
      --depth_;
    }
  }
  return false;
}

}  // namespace iotcore::broker
