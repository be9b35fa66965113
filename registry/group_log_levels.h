#pragma once

#include "base/clock.h"
#include "base/log.h"
#include "store/store.h"

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace iotcore::registry {

// From which level on is logged what concerns a client whose thing, the one of its name, is in groups that have a level: in the group itself or below it. An
// answer is a second old at most. Any thread; reads the store.
class GroupLogLevels {
 public:
  using Levels = std::map<std::string, LogLevel, std::less<>>;  // by group

  GroupLogLevels(store::Store& store, Levels levels) : store_(store), levels_(std::move(levels)) {}

  // Of several groups, the one that logs most counts.
  std::optional<LogLevel> of_client(std::string_view client_id);

 private:
  struct Known {
    std::optional<LogLevel> level;
    MonotonicTime until;
  };

  std::optional<LogLevel> read(std::string_view client_id) const;

  store::Store& store_;
  const Levels levels_;
  const SystemClock clock_;
  std::mutex mutex_;  // and what follows
  std::unordered_map<std::string, Known> known_;
};

}  // namespace iotcore::registry
