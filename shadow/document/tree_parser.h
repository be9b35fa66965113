#pragma once

#include "shadow/document/tree.h"

#include <memory_resource>
#include <string_view>

namespace iotcore::shadow::document {

// A JSON text as a tree, and what the rules for shadows ask about it.
struct ParsedView {
  NodeView root;
  // Of what is under the top-level key `state`:
  std::size_t depth = 0;  // key levels inside the sections
  bool null_in_array = false;
};

// False: not JSON. Texts of the tree point into `text` or `memory`.
bool parse_tree(std::string_view text, ParsedView& parsed, std::pmr::memory_resource& memory);

// The value of a node that holds a string.
std::string string_value(const NodeView& node);

inline bool is_string(const NodeView& node) {
  return node.kind == Kind::kScalar && node.text.front() == '"';
}

}  // namespace iotcore::shadow::document
