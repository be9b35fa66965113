#pragma once

#include "broker/level_table.h"
#include "broker/topic.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace iotcore::broker {

// Topic names and what belongs to each (retained messages), found by name or by filter. Not thread
// safe: one owner. The values are the caller's. Topics and filters are valid ones (topic.h),
// without `$share/name/`.
class TopicIndex {
 public:
  // hash_seed 0: random.
  explicit TopicIndex(bool hash_matches_parent = true, std::uint64_t hash_seed = 0);
  TopicIndex(const TopicIndex&) = delete;
  TopicIndex& operator=(const TopicIndex&) = delete;
  ~TopicIndex();

  // The value is not nullptr. Returns the one it replaces, or nullptr.
  void* set(std::string_view topic, void* value);
  // nullptr if there is none.
  void* find(std::string_view topic) const;
  // Returns the value that was there, or nullptr.
  void* erase(std::string_view topic);

  // A topic that a filter matches, while the visitor looks at it.
  class Found;

  // f(const Found&) -> bool for each topic that the filter matches, in no particular order; false
  // ends the walk. The index is not to be changed meanwhile.
  template <typename F>
  void match(std::string_view filter, F&& f) const;

  std::size_t size() const { return size_; }

  std::size_t memory_bytes() const { return memory_bytes_; }

 private:
  struct Node {
    LevelTable<Node> children;
    void* value = nullptr;
    std::uint16_t name_size = 0;

    std::string_view name() const {
      return {reinterpret_cast<const char*>(&name_size + 1), name_size};
    }
  };

  struct Memory {
    TopicIndex& index;
    void* allocate(std::size_t bytes);
    void retire(void* memory, std::size_t bytes);
  };

  // One step of a walk: a node and where the walk stands among its children.
  struct Step {
    const Node* node;
    LevelTable<Node>::Cursor cursor;
  };

  class Walk;

  static std::size_t node_bytes(std::string_view name);
  Node* make_node(std::string_view name);
  void drop_below(Node& node);

  const std::uint64_t seed_;
  const bool hash_matches_parent_;
  std::unique_ptr<Node> root_;
  std::size_t size_ = 0;
  std::size_t memory_bytes_ = 0;
};

class TopicIndex::Found {
 public:
  void* value() const { return value_; }

  // Appends the topic's name.
  void append_topic(std::string& out) const;

 private:
  friend class TopicIndex;

  Found(void* value, const Step* steps, std::size_t count)
      : value_(value), steps_(steps), count_(count) {}

  void* value_;
  const Step* steps_;  // the root first
  std::size_t count_;
};

// The walk of match(), one topic at a time.
class TopicIndex::Walk {
 public:
  Walk(const TopicIndex& index, std::string_view filter);

  // Steps to the next topic that matches; false at the end.
  bool next();

  Found found() const { return {steps_[depth_].node->value, steps_.data(), depth_ + 1}; }

 private:
  // Does not initialise itself, as there is an array of these of which few are used.
  struct Level {
    const char* data;
    std::uint32_t size;
    std::uint32_t hash;

    std::string_view name() const { return {data, size}; }

    bool is_plus() const { return size == 1 && *data == '+'; }
  };

  void enter(const Node* node);
  bool matches_here() const;
  const Node* next_child();

  const TopicIndex& index_;
  std::size_t level_count_ = 0;
  bool ends_with_hash_ = false;
  bool done_ = false;
  bool entered_ = false;  // the node where the walk stands, and nothing of its children yet
  std::size_t depth_ = 0;
  std::array<Level, kTopicLevelsMax> levels_;
  std::array<Step, kTopicLevelsMax + 1> steps_;
};

template <typename F>
void TopicIndex::match(std::string_view filter, F&& f) const {
  for (Walk walk(*this, filter); walk.next();) {
    if (!f(walk.found())) {
      return;
    }
  }
}

}  // namespace iotcore::broker
