#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace iotcore {

// error = somebody must act; warn = degraded; info = lifecycle; debug = for the one who looks for something.
enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarn, kError };
enum class LogFormat : std::uint8_t { kText, kJson };

// Once, before the first thread. Standard error.
void configure_log(LogLevel level, LogFormat format);
bool log_enabled(LogLevel level);

// One field of a log line. Never a payload, key, password or token.
class LogField {
 public:
  LogField(std::string_view key, std::string_view value) : key_(key), value_(value) {}
  LogField(std::string_view key, const char* value) : key_(key), value_(value) {}
  LogField(std::string_view key, const std::string& value) : key_(key), value_(value) {}
  LogField(std::string_view key, bool value) : key_(key), value_(value ? "true" : "false") {}
  template <typename Number>
    requires(std::is_arithmetic_v<Number>)
  LogField(std::string_view key, Number value) : key_(key), value_(fmt::to_string(value)) {}

  std::string_view key() const { return key_; }
  std::string_view value() const { return value_; }

 private:
  std::string_view key_;
  std::string value_;
};

// One line an event: log(LogLevel::kInfo, "listener.open", {{"face", "mqtts"}, {"port", 8883}}). Any thread.
void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});

}  // namespace iotcore
