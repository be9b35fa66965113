#pragma once

#include "base/clock.h"
#include "base/token_bucket.h"

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
  static constexpr TokenRate kRate = {.tokens_per_s = 200, .burst = 2000};

  std::string function_;
  TokenBucket bucket_;
  std::uint64_t left_out_ = 0;
};

}  // namespace iotcore::functions
