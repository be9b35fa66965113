#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <new>
#include <string_view>
#include <vector>

namespace iotcore::shadow::document {

enum class Kind : std::uint8_t { kNull, kScalar, kArray, kObject };

// A member of an object. Texts are compact JSON in one spelling for each string, so that equal text
// is an equal value; they point into the payload, the stored bytes or the arena that the tree was
// read with, and are good as long as those are. Arrays are replaced and compared as wholes: they
// stay text, and one time holds for all that is in them.
struct NodeView {
  std::string_view key;   // with its quotes
  std::string_view text;  // of a scalar or an array
  NodeView* previous = nullptr;
  NodeView* next = nullptr;
  NodeView* first = nullptr;
  NodeView* last = nullptr;
  std::int64_t set_at_s = 0;  // of a scalar or an array
  std::uint32_t count = 0;    // members of an object
  Kind kind = Kind::kObject;
};

// Memory that goes back all at once.
template <std::size_t kInlineBytes>
class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  std::pmr::memory_resource& memory() { return memory_; }

 private:
  std::array<std::byte, kInlineBytes> inline_;
  std::pmr::monotonic_buffer_resource memory_{inline_.data(), inline_.size()};
};

inline NodeView* new_node(std::pmr::memory_resource& memory) {
  return new (memory.allocate(sizeof(NodeView), alignof(NodeView))) NodeView;
}

inline void append_member(NodeView& object, NodeView* member) {
  member->previous = object.last;
  member->next = nullptr;
  (object.last == nullptr ? object.first : object.last->next) = member;
  object.last = member;
  ++object.count;
}

inline void remove_member(NodeView& object, NodeView* member) {
  (member->previous == nullptr ? object.first : member->previous->next) = member->next;
  (member->next == nullptr ? object.last : member->next->previous) = member->previous;
  --object.count;
}

// Finds members of one object by key: at once when asked in the order of the object, as equal
// documents are, and in O(log n) else.
class MemberFinder {
 public:
  MemberFinder(const NodeView& object, std::pmr::memory_resource& memory)
      : object_(object), expected_(object.first), sorted_(&memory) {}

  NodeView* find(std::string_view key);

 private:
  const NodeView& object_;
  NodeView* expected_;
  std::pmr::vector<NodeView*> sorted_;
};

// Of several members with one key only the last stays.
void remove_duplicates(NodeView& object, std::pmr::memory_resource& memory);

// The two sections of a shadow; one without members is as good as absent.
struct SectionsView {
  NodeView desired;
  NodeView reported;
};

// What is under `state` in an update.
struct Tree {
  Arena<4096> arena;
  std::size_t text_bytes = 0;         // of the whole request
  bool clears_all = false;            // state: null
  const NodeView* desired = nullptr;  // object or null; absent: nullptr
  const NodeView* reported = nullptr;
};

// Applies the members of `patch`, all set at `now_s`, to `object`.
void merge(
    NodeView& object, const NodeView& patch, std::int64_t now_s, std::pmr::memory_resource& memory
);

// Same type and value; numbers by value, arrays in order.
bool equal_values(const NodeView& a, const NodeView& b);

}  // namespace iotcore::shadow::document
