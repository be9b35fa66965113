#include "rules/rule_cycles.h"

#include <algorithm>

namespace iotcore::rules {
namespace {

constexpr std::size_t kRulesMax = 2000;  // beyond, looking costs more than it is worth
constexpr std::size_t kCyclesMax = 20;

std::string_view take_level(std::string_view& rest) {
  const std::string_view level = rest.substr(0, rest.find('/'));
  rest.remove_prefix(std::min(rest.size(), level.size() + 1));
  return level;
}

// Ways from one rule along the edges back to it, over rules with larger indexes only, so that each cycle is found from its first.
class Search {
 public:
  explicit Search(std::vector<std::vector<std::size_t>> edges)
      : edges_(std::move(edges)), seen_(edges_.size()) {}

  std::vector<std::vector<std::size_t>> run() {
    for (std::size_t start = 0; start < edges_.size() && cycles_.size() < kCyclesMax; ++start) {
      std::fill(seen_.begin(), seen_.end(), false);
      way_ = {start};
      visit(start, start);
    }
    return std::move(cycles_);
  }

 private:
  // False: this start has its cycle.
  bool visit(std::size_t at, std::size_t start) {
    for (const std::size_t next : edges_[at]) {
      if (next == start) {
        cycles_.push_back(way_);
        return false;
      }
      if (next < start || seen_[next]) {
        continue;
      }
      seen_[next] = true;
      way_.push_back(next);
      if (!visit(next, start)) {
        return false;
      }
      way_.pop_back();
    }
    return true;
  }

  const std::vector<std::vector<std::size_t>> edges_;
  std::vector<bool> seen_;
  std::vector<std::size_t> way_;
  std::vector<std::vector<std::size_t>> cycles_;
};

}  // namespace

bool may_reach(std::string_view topic, std::string_view filter) {
  if (topic.starts_with("$$")) {
    topic.remove_prefix(1);
  }
  if (topic.starts_with('$') && !topic.starts_with("${") && !filter.starts_with('$')) {
    return false;
  }
  while (!topic.empty() && !filter.empty()) {
    const std::string_view wanted = take_level(filter);
    if (wanted == "#") {
      return true;
    }
    const std::string_view level = topic.substr(0, topic.find('/'));
    const std::size_t unknown = topic.find("${");
    if (unknown <= level.size()) {
      // What it becomes may have any number of levels.
      return wanted == "+" || wanted.starts_with(level.substr(0, unknown));
    }
    if (wanted != "+" && wanted != level) {
      return false;
    }
    take_level(topic);
  }
  return topic.empty() && (filter.empty() || filter == "#");
}

std::vector<std::vector<std::size_t>> find_cycles(std::span<const RuleFlow> flows) {
  if (flows.size() > kRulesMax) {
    return {};
  }
  std::vector<std::vector<std::size_t>> edges(flows.size());
  for (std::size_t from = 0; from < flows.size(); ++from) {
    for (std::size_t to = 0; to < flows.size(); ++to) {
      const bool reaches = flows[to].filter &&
                           std::ranges::any_of(flows[from].topics, [&](const std::string& topic) {
                             return may_reach(topic, *flows[to].filter);
                           });
      if (reaches) {
        edges[from].push_back(to);
      }
    }
  }
  return Search(std::move(edges)).run();
}

}  // namespace iotcore::rules
