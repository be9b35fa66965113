#pragma once

#include "rules/sql/json_tape.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace iotcore::rules::actions {

// What is known of results of the same members for the same table, so that the next of them is written without looking anything up. `Shape` has `table` and
// `members`, the latter in the order of the result. The last ones that were used are kept.
template <typename Shape>
class ResultShapes {
 public:
  // Of the object that is the root of `tape`; nullptr: there is none.
  const Shape* find(std::string_view table, const sql::JsonTape& tape) {
    for (auto shape = shapes_.begin(); shape != shapes_.end(); ++shape) {
      if ((*shape)->table == table && has_members(tape, (*shape)->members)) {
        std::rotate(shapes_.begin(), shape, shape + 1);
        return shapes_.front().get();
      }
    }
    return nullptr;
  }

  void add(Shape shape) {
    // Names are looked at as they are written, and these are written with escapes.
    const auto is_odd = [](const std::string& name) {
      return name.find_first_of("\\\"") != std::string::npos;
    };
    const auto is_same = [&shape](const std::unique_ptr<Shape>& known) {
      return known->table == shape.table && known->members == shape.members;
    };
    if (shape.members.empty() || std::ranges::any_of(shape.members, is_odd) ||
        std::ranges::any_of(shapes_, is_same)) {
      return;
    }
    if (shapes_.size() >= kShapesMax) {
      shapes_.pop_back();
    }
    shapes_.insert(shapes_.begin(), std::make_unique<Shape>(std::move(shape)));
  }

  bool empty() const { return shapes_.empty(); }

  void clear() { shapes_.clear(); }

 private:
  static constexpr std::size_t kShapesMax = 16;

  static bool has_members(const sql::JsonTape& tape, const std::vector<std::string>& members) {
    if (members.size() != tape.root().count) {
      return false;
    }
    std::uint32_t at = 1;
    for (const std::string& member : members) {
      if (tape.raw(tape.node(at)) != member) {
        return false;
      }
      at = tape.node(at + 1).next;
    }
    return true;
  }

  std::vector<std::unique_ptr<Shape>> shapes_;
};

}  // namespace iotcore::rules::actions
