#pragma once

#include "base/log.h"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
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
  // What holds for the client of a line ("client_id"), by what is known of it elsewhere; nothing: no more than for others. Never less than
  // `clients_least`. May be empty; called by whoever logs.
  std::function<std::optional<LogLevel>(std::string_view client_id)> of_client;
  LogLevel clients_least = LogLevel::kError;
};

// Changes what is logged from now on. Any thread. Of several targets that fit, the one that logs most counts.
void set_log_levels(LogLevels levels);

}  // namespace iotcore
