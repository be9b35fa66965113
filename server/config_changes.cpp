#include "server/config_changes.h"

#include <algorithm>
#include <array>

namespace iotcore::server {
namespace {

constexpr auto kLive = std::to_array<std::string_view>({"drain_ms", "log.format", "log.level"});

}  // namespace

std::vector<ConfigChange> take_changes(Config& running, const Config& read) {
  std::vector<ConfigChange> changes;
  for (const ConfigKey& key : config_keys()) {
    std::string before = key.get(running);
    std::string now = key.get(read);
    if (before != now) {
      const bool live = std::ranges::find(kLive, key.name) != kLive.end();
      changes.push_back({key.name, std::move(before), std::move(now), live});
    }
  }
  running.log_level = read.log_level;
  running.log_format = read.log_format;
  running.drain_ms = read.drain_ms;
  return changes;
}

}  // namespace iotcore::server
