#include "registry/group_log_levels.h"

#include "registry/group_rows.h"
#include "registry/keys.h"

#include <algorithm>

namespace iotcore::registry {
namespace {

constexpr std::size_t kKnownMax = 10'000;
constexpr std::chrono::seconds kKnownFor(1);

}  // namespace

std::optional<LogLevel> GroupLogLevels::of_client(std::string_view client_id) {
  const std::string client(client_id);
  const MonotonicTime now = clock_.now();
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = known_.find(client);
        found != known_.end() && now < found->second.until) {
      return found->second.level;
    }
  }
  const std::optional<LogLevel> level = read(client_id);
  const std::lock_guard lock(mutex_);
  if (known_.size() >= kKnownMax) {
    known_.clear();
  }
  known_[client] = {level, now + kKnownFor};
  return level;
}

std::optional<LogLevel> GroupLogLevels::read(std::string_view client_id) const {
  const auto thing = find_record<record::Thing>(store_, keys::kRegistry, keys::thing(client_id));
  if (!thing || !thing->has_value()) {
    return std::nullopt;
  }
  const auto groups = groups_of(store_, (*thing)->record);
  if (!groups) {
    return std::nullopt;
  }
  std::optional<LogLevel> least;
  const auto take = [&](const std::string& name) {
    if (const auto found = levels_.find(name); found != levels_.end()) {
      least = std::min(least.value_or(found->second), found->second);
    }
  };
  for (const NamedGroup& group : *groups) {
    take(group.name);
    for (const std::string& ancestor : group.group.ancestors()) {
      take(ancestor);
    }
  }
  return least;
}

}  // namespace iotcore::registry
