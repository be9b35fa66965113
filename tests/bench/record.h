#pragma once

#include <fmt/format.h>

#include <cmath>
#include <concepts>
#include <string>
#include <string_view>

namespace iotcore::bench {

// One run's figures, in order, as one line of JSON.
class Record {
 public:
  void add(std::string_view name, std::string_view text) {
    std::string quoted = "\"";
    for (const char c : text) {
      if (c == '"' || c == '\\') {
        quoted += '\\';
      }
      quoted += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
    field(name, quoted + '"');
  }

  void add(std::string_view name, bool value) { field(name, value ? "true" : "false"); }

  template <std::integral Number>
  void add(std::string_view name, Number value) {
    field(name, fmt::format("{}", value));
  }

  // Six significant digits; what could not be measured is null.
  void add(std::string_view name, double value) {
    field(name, std::isfinite(value) ? fmt::format("{:.6g}", value) : "null");
  }

  std::string json() const { return "{" + fields_ + "}"; }

 private:
  void field(std::string_view name, std::string_view value) {
    fields_ += fmt::format("{}\"{}\": {}", fields_.empty() ? "" : ", ", name, value);
  }

  std::string fields_;
};

}  // namespace iotcore::bench
