#include "registry/policy/residual.h"

#include <algorithm>
#include <compare>
#include <set>

namespace iotcore::registry::policy {
namespace {

// Before byte `offset` of part `part`; for wildcards the offset is 0.
struct Position {
  std::size_t part;
  std::size_t offset;

  friend auto operator<=>(const Position&, const Position&) = default;
};

// All positions that are reached from the given ones without a character: past a star, and past the
// end of a text.
void pass_over(std::set<Position>& positions, const Pattern& pattern, bool pass_stars) {
  for (auto it = positions.begin(); it != positions.end();) {
    if (it->part == pattern.size()) {
      ++it;
      continue;
    }
    const Part& part = pattern[it->part];
    if (part.kind == Part::Kind::kText && it->offset == part.text.size()) {
      positions.insert({it->part + 1, 0});
      it = positions.erase(it);
      continue;
    }
    if (part.kind == Part::Kind::kAnyRun && pass_stars) {
      positions.insert({it->part + 1, 0});
    }
    ++it;
  }
}

Pattern rest_of(const Pattern& pattern, const Position& from) {
  Pattern rest(pattern.begin() + static_cast<std::ptrdiff_t>(from.part), pattern.end());
  if (from.offset != 0) {
    rest.front().text.erase(0, from.offset);
  }
  return rest;
}

}  // namespace

std::optional<std::vector<Pattern>> residuals(const Pattern& pattern, std::string_view prefix) {
  // Nearly all patterns spell the prefix out, or differ from it in plain text.
  const std::string_view head = pattern.empty() || pattern.front().kind != Part::Kind::kText
                                    ? std::string_view()
                                    : std::string_view(pattern.front().text);
  const std::size_t common = std::min(head.size(), prefix.size());
  if (head.substr(0, common) != prefix.substr(0, common)) {
    return std::vector<Pattern>();
  }
  if (head.size() > prefix.size()) {
    return std::vector<Pattern>{rest_of(pattern, {0, prefix.size()})};
  }
  std::set<Position> positions = {{0, 0}};
  for (const char c : prefix) {
    pass_over(positions, pattern, true);
    std::set<Position> next;
    for (const Position& at : positions) {
      if (at.part == pattern.size()) {
        continue;
      }
      const Part& part = pattern[at.part];
      switch (part.kind) {
        case Part::Kind::kVariable:
          return std::nullopt;
        case Part::Kind::kText:
          if (part.text[at.offset] == c) {
            next.insert({at.part, at.offset + 1});
          }
          break;
        case Part::Kind::kAnyOne:
          next.insert({at.part + 1, 0});
          break;
        case Part::Kind::kAnyRun:
          next.insert(at);
          break;
      }
    }
    positions = std::move(next);
  }
  // A star that is left over matches nothing, too: what follows it need not be listed by itself.
  pass_over(positions, pattern, false);
  std::vector<Pattern> results;
  for (const Position& at : positions) {
    results.push_back(rest_of(pattern, at));
  }
  return results;
}

}  // namespace iotcore::registry::policy
