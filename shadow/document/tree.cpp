#include "shadow/document/tree.h"

#include "base/json.h"
#include "shadow/document/json_equality.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace iotcore::shadow::document {
namespace {

// Up to here looking at every member is faster than an index.
constexpr std::uint32_t kLinearMembersMax = 16;

std::pmr::vector<NodeView*> sorted_members(
    const NodeView& object, std::pmr::memory_resource& memory
) {
  std::pmr::vector<NodeView*> members(&memory);
  members.reserve(object.count);
  for (NodeView* member = object.first; member != nullptr; member = member->next) {
    members.push_back(member);
  }
  std::stable_sort(members.begin(), members.end(), [](const NodeView* a, const NodeView* b) {
    return a->key < b->key;
  });
  return members;
}

// A copy of `patch` as the value of a key that had no object before. nullptr: nothing but nulls in
// it.
NodeView* copy_without_nulls(
    const NodeView& patch, std::int64_t now_s, std::pmr::memory_resource& memory
) {
  NodeView* copy = new_node(memory);
  copy->key = patch.key;
  copy->kind = patch.kind;
  copy->text = patch.text;
  copy->set_at_s = now_s;
  for (const NodeView* member = patch.first; member != nullptr; member = member->next) {
    if (member->kind == Kind::kNull) {
      continue;
    }
    if (NodeView* value = copy_without_nulls(*member, now_s, memory)) {
      append_member(*copy, value);
    }
  }
  return patch.first != nullptr && copy->first == nullptr ? nullptr : copy;
}

bool is_number(std::string_view text) {
  return !text.empty() && (text.front() == '-' || (text.front() >= '0' && text.front() <= '9'));
}

bool is_integer(std::string_view text) {
  return text.find_first_of(".eE") == std::string_view::npos;
}

double as_double(std::string_view text) {
  double value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// `a` and `b` differ as text.
bool equal_numbers(std::string_view a, std::string_view b) {
  if (is_integer(a) && is_integer(b)) {
    return (a == "0" && b == "-0") ||
           (a == "-0" && b == "0");  // of any other integer there is one spelling
  }
  return as_double(a) == as_double(b);
}

}  // namespace

NodeView* MemberFinder::find(std::string_view key) {
  if (expected_ != nullptr && expected_->key == key) {
    return std::exchange(expected_, expected_->next);
  }
  if (object_.count <= kLinearMembersMax) {
    for (NodeView* member = object_.first; member != nullptr; member = member->next) {
      if (member->key == key) {
        expected_ = member->next;
        return member;
      }
    }
    return nullptr;
  }
  if (sorted_.empty()) {
    sorted_ = sorted_members(object_, *sorted_.get_allocator().resource());
  }
  const auto found = std::lower_bound(
      sorted_.begin(),
      sorted_.end(),
      key,
      [](const NodeView* member, std::string_view wanted) { return member->key < wanted; }
  );
  if (found == sorted_.end() || (*found)->key != key) {
    return nullptr;
  }
  expected_ = (*found)->next;
  return *found;
}

void remove_duplicates(NodeView& object, std::pmr::memory_resource& memory) {
  if (object.count <= kLinearMembersMax) {
    for (NodeView* member = object.last; member != nullptr; member = member->previous) {
      for (NodeView* earlier = member->previous; earlier != nullptr; earlier = earlier->previous) {
        if (earlier->key == member->key) {
          remove_member(object, earlier);
        }
      }
    }
    return;
  }
  const std::pmr::vector<NodeView*> members = sorted_members(object, memory);
  for (std::size_t i = 1; i < members.size(); ++i) {
    if (members[i - 1]->key == members[i]->key) {
      remove_member(object, members[i - 1]);
    }
  }
}

void merge(
    NodeView& object, const NodeView& patch, std::int64_t now_s, std::pmr::memory_resource& memory
) {
  MemberFinder finder(object, memory);
  for (const NodeView* change = patch.first; change != nullptr; change = change->next) {
    NodeView* current = finder.find(change->key);
    if (change->kind == Kind::kNull) {
      if (current != nullptr) {
        remove_member(object, current);
      }
      continue;
    }
    if (current == nullptr) {
      if (NodeView* value = copy_without_nulls(*change, now_s, memory)) {
        append_member(object, value);
      }
      continue;
    }
    if (change->kind == Kind::kObject) {
      if (current->kind != Kind::kObject) {
        current->kind = Kind::kObject;
        current->first = current->last = nullptr;
        current->count = 0;
      }
      merge(*current, *change, now_s, memory);
      continue;
    }
    current->kind = change->kind;
    current->text = change->text;
    current->set_at_s = now_s;
    current->first = current->last = nullptr;
    current->count = 0;
  }
}

bool equal_values(const NodeView& a, const NodeView& b) {
  if (a.kind != b.kind) {
    return false;
  }
  if (a.text == b.text) {
    return true;
  }
  if (a.kind == Kind::kScalar) {
    return is_number(a.text) && is_number(b.text) && equal_numbers(a.text, b.text);
  }
  // Arrays that differ as text may still hold equal numbers spelled in two ways, or objects in
  // another order.
  const Result<json::value> array_a = parse_json(a.text);
  const Result<json::value> array_b = parse_json(b.text);
  return array_a && array_b && equal_json(*array_a, *array_b);
}

}  // namespace iotcore::shadow::document
