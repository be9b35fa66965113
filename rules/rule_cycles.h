#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules {

// Where a rule's messages come from and where it publishes.
struct RuleFlow {
  std::string name;
  std::optional<std::string> filter;
  std::vector<std::string> topics;  // of its republish actions, with ${…}
};

// Whether a topic with ${…} in it may be one that the filter names: what stands before the first ${ counts.
bool may_reach(std::string_view topic, std::string_view filter);

// Rules that publish to each other, or one to itself: their indexes, in the order in which a message goes. Each cycle once.
std::vector<std::vector<std::size_t>> find_cycles(std::span<const RuleFlow> flows);

}  // namespace iotcore::rules
