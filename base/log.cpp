#include "base/log.h"

#include "base/json.h"
#include "base/log_levels.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>

namespace iotcore {
namespace {

constexpr const char* kTextPattern = "%Y-%m-%dT%H:%M:%S.%eZ %l %v";
constexpr const char* kJsonPattern = R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})";

struct Logger {
  std::shared_ptr<spdlog::logger> sink = [] {
    auto logger = std::make_shared<spdlog::logger>(
        "iotcore", std::make_shared<spdlog::sinks::stderr_sink_mt>()
    );
    logger->set_pattern(kTextPattern, spdlog::pattern_time_type::utc);
    logger->flush_on(spdlog::level::info);
    return logger;
  }();
  std::atomic<LogFormat> format = LogFormat::kText;
  std::atomic<LogLevel> all = LogLevel::kInfo;
  std::atomic<LogLevel> least = LogLevel::kInfo;  // of all targets and everything else
  // Null: all lines are alike. Second owner: whoever is just logging.
  std::atomic<std::shared_ptr<const LogLevels>> by_line;

  std::mutex mutex;  // and what follows
  LogLevel configured = LogLevel::kInfo;
  LogLevels levels;

  // With the mutex held.
  void put_in_force() {
    all = levels.all.value_or(configured);
    LogLevel lowest = all;
    for (const LogTarget& target : levels.targets) {
      lowest = std::min(lowest, target.level);
    }
    if (levels.of_client) {
      lowest = std::min(lowest, levels.clients_least);
    }
    const bool alike = levels.targets.empty() && !levels.of_client;
    by_line.store(alike ? nullptr : std::make_shared<const LogLevels>(levels));
    least = lowest;
  }
};

Logger& logger() {
  static Logger instance;
  return instance;
}

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

// Whether the field is that one, in our spelling or in that of lines which are as AWS has them.
bool is_field(const LogField& field, std::string_view name) {
  return field.key() == name || (name == "client_id" && field.key() == "clientId") ||
         (name == "principal" && field.key() == "principalId");
}

// From which level on a line with these fields is logged.
LogLevel level_for(std::initializer_list<LogField> fields) {
  const LogLevel all = logger().all.load(std::memory_order_relaxed);
  const auto by_line = logger().by_line.load();
  if (by_line == nullptr) {
    return all;
  }
  std::optional<LogLevel> least;
  if (by_line->of_client) {
    const auto client = std::find_if(fields.begin(), fields.end(), [](const LogField& field) {
      return is_field(field, "client_id");
    });
    least = client == fields.end() ? std::nullopt : by_line->of_client(client->value());
  }
  for (const LogTarget& target : by_line->targets) {
    const bool fits = std::any_of(fields.begin(), fields.end(), [&target](const LogField& field) {
      return is_field(field, target.field) && field.value() == target.value;
    });
    if (fits) {
      least = std::min(least.value_or(target.level), target.level);
    }
  }
  return least.value_or(all);
}

bool needs_quotes(std::string_view value) {
  if (value.empty()) {
    return true;
  }
  for (const char c : value) {
    if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == '\x7f') {
      return true;
    }
  }
  return false;
}

}  // namespace

void configure_log(LogLevel level, LogFormat format) {
  logger().format = format;
  logger().sink->set_level(spdlog::level::debug);  // we have looked at the level before
  logger().sink->set_pattern(
      format == LogFormat::kJson ? kJsonPattern : kTextPattern, spdlog::pattern_time_type::utc
  );
  const std::lock_guard lock(logger().mutex);
  logger().configured = level;
  logger().put_in_force();
}

void set_log_levels(LogLevels levels) {
  const std::lock_guard lock(logger().mutex);
  logger().levels = std::move(levels);
  logger().put_in_force();
}

bool log_enabled(LogLevel level) {
  return level >= logger().least.load(std::memory_order_relaxed);
}

void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  if (!log_enabled(level) || level < level_for(fields)) {
    return;
  }
  std::string line;
  if (logger().format == LogFormat::kJson) {
    line.append("\"event\":");
    append_json_string(line, event);
    for (const LogField& field : fields) {
      line.push_back(',');
      append_json_string(line, field.key());
      line.push_back(':');
      append_json_string(line, field.value());
    }
  } else {
    line.append(event);
    for (const LogField& field : fields) {
      line.push_back(' ');
      line.append(field.key());
      line.push_back('=');
      if (needs_quotes(field.value())) {
        append_json_string(line, field.value());
      } else {
        line.append(field.value());
      }
    }
  }
  logger().sink->log(to_spdlog(level), spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace iotcore
