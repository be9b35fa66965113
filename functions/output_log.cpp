#include "functions/output_log.h"

#include "base/log.h"

namespace iotcore::functions {

void OutputLog::put(
    std::string& rest, std::string_view bytes, std::string_view request, MonotonicTime now
) {
  rest += bytes;
  std::size_t from = 0;
  for (std::size_t at = 0; (at = rest.find('\n', from)) != std::string::npos; from = at + 1) {
    line(std::string_view(rest).substr(from, at - from), request, now);
  }
  rest.erase(0, from);
  if (rest.size() > kLineBytesMax) {
    line(rest, request, now);
    rest.clear();
  }
}

void OutputLog::end(std::string& rest, std::string_view request, MonotonicTime now) {
  if (!rest.empty()) {
    line(rest, request, now);
    rest.clear();
  }
}

void OutputLog::line(std::string_view text, std::string_view request, MonotonicTime now) {
  if (text.ends_with('\r')) {
    text.remove_suffix(1);
  }
  if (text.empty()) {
    return;
  }
  if (!rate_.try_take(now, 1, kLinesPerSecond, kBurst)) {
    ++left_out_;
    return;
  }
  if (left_out_ != 0) {
    log(LogLevel::kWarn, "function.output_left_out", {{"function", function_}, {"lines", left_out_}}
    );
    left_out_ = 0;
  }
  log(LogLevel::kInfo,
      "function.output",
      {{"function", function_}, {"request", request}, {"line", text.substr(0, kLineBytesMax)}});
}

}  // namespace iotcore::functions
