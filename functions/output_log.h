#pragma once

#include "base/clock.h"
#include "base/rate_limit.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace iotcore::functions {

// What functions print, as lines of the server's log. What one function may write in a second is limited; what is left out is counted. One thread.
class OutputLog {
 public:
  explicit OutputLog(std::string function) : function_(std::move(function)) {}

  // Bytes as they come, of one process: what is not yet a line stays in `rest`.
  void put(std::string& rest, std::string_view bytes, std::string_view request, MonotonicTime now);
  // The process has ended.
  void end(std::string& rest, std::string_view request, MonotonicTime now);

 private:
  void line(std::string_view text, std::string_view request, MonotonicTime now);

  static constexpr std::size_t kLineBytesMax = 8U << 10;
  static constexpr std::uint64_t kLinesPerSecond = 200;
  static constexpr Duration kBurst = std::chrono::seconds(10);

  std::string function_;
  RateLimit rate_;
  std::uint64_t left_out_ = 0;
};

}  // namespace iotcore::functions
