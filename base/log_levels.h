#pragma once

#include "base/log.h"

#include <optional>
#include <string>
#include <vector>

namespace iotcore {

// Lines that have this field with this value are logged from that level on, whatever holds for others.
struct LogTarget {
  std::string field;  // "client_id", "source_ip", "principal"
  std::string value;
  LogLevel level;
};

struct LogLevels {
  std::optional<LogLevel> all;  // nothing: as configure_log() had it
  std::vector<LogTarget> targets;
};

// Changes what is logged from now on. Any thread. Of several targets that fit, the one that logs most counts.
void set_log_levels(LogLevels levels);

}  // namespace iotcore
