#pragma once

#include "proto/shapes.pb.h"

#include <bitset>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace re2 {
class RE2;
}

namespace iotcore::gateway {

// One row of proto/shapes.proto, its pattern compiled. Immutable; any thread.
class Bounds {
 public:
  explicit Bounds(const api::Bounds& row);
  ~Bounds();
  Bounds(const Bounds&) = delete;
  Bounds& operator=(const Bounds&) = delete;

  // What the value does not satisfy, in AWS's words ("Member must have length less than or equal to
  // 128"); empty when all is well.
  std::vector<std::string> violations(std::string_view text) const;
  std::vector<std::string> violations(std::int64_t number) const;

  const api::Bounds& row() const { return row_; }

 private:
  bool matches(std::string_view text) const;

  api::Bounds row_;
  // Of a pattern that is one class of characters, repeated, as most are: which ASCII characters are of it.
  std::optional<std::bitset<128>> character_class_;
  std::unique_ptr<re2::RE2> pattern_;
};

// Every row. Built once, at start.
class BoundsTable {
 public:
  BoundsTable();

  // nullptr: anything goes.
  const Bounds* find(api::Shape shape) const;

 private:
  std::map<api::Shape, Bounds> rows_;
};

}  // namespace iotcore::gateway
