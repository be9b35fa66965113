#pragma once

#include "registry/query/query.h"

#include <optional>

namespace iotcore::registry::query {

// What one value has to be.
struct Condition {
  enum class Kind : std::uint8_t { kAnything, kEqual, kWildcard, kRange };

  struct Bound {
    std::string text;  // lower case
    std::optional<double> number;
    bool inclusive = true;
  };

  Kind kind = Kind::kAnything;
  // kEqual, in lower case.
  std::string text;
  std::optional<double> number;
  // kWildcard: the literal pieces between the signs, and the signs (`*` or `?`) between them.
  std::string pattern;
  // kRange; absent: open.
  std::optional<Bound> low;
  std::optional<Bound> high;

  bool holds(const ValueView& value) const;
};

struct Node {
  enum class Kind : std::uint8_t { kAnd, kOr, kNot, kTerm };

  Kind kind = Kind::kTerm;
  std::vector<std::unique_ptr<Node>> children;
  // kTerm.
  std::string field;  // empty: any
  Condition condition;
};

// In place of a wildcard's sign, in `pattern`; what was escaped stays what it is.
inline constexpr char kAnyRun = '\x01';
inline constexpr char kAnyOne = '\x02';

std::optional<double> number_from(std::string_view text);
std::string lower_case(std::string_view text);

}  // namespace iotcore::registry::query
