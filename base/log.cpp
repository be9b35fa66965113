#include "base/log.h"

#include "base/json.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <memory>

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
  logger().sink->set_level(to_spdlog(level));
  logger().sink->set_pattern(
      format == LogFormat::kJson ? kJsonPattern : kTextPattern, spdlog::pattern_time_type::utc
  );
}

bool log_enabled(LogLevel level) {
  return logger().sink->should_log(to_spdlog(level));
}

void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  if (!log_enabled(level)) {
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
