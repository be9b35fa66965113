#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace iotcore::server {

// What /metrics said at one time, for those who watch it.
class MetricsSample {
 public:
  // Text in Prometheus' form; lines that are not understood are passed over.
  static MetricsSample parse(std::string_view text);

  // Over all labels; 0: there is none.
  double sum(std::string_view name) const;
  // By the value of that label, the others summed up.
  std::map<std::string, double> by(std::string_view name, std::string_view label) const;

 private:
  using Key = std::pair<std::string, std::string>;  // name, labels as written

  std::map<Key, double> values_;
};

}  // namespace iotcore::server
