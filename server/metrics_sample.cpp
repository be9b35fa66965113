#include "server/metrics_sample.h"

#include <charconv>

namespace iotcore::server {
namespace {

// The label's value, unescaped; empty: it is not there.
std::string label_value(std::string_view labels, std::string_view label) {
  for (std::size_t at = 0; at < labels.size();) {
    const std::size_t equals = labels.find("=\"", at);
    if (equals == std::string_view::npos) {
      break;
    }
    const bool wanted = labels.substr(at, equals - at) == label;
    std::string value;
    std::size_t i = equals + 2;
    for (; i < labels.size() && labels[i] != '"'; ++i) {
      if (labels[i] == '\\' && i + 1 < labels.size()) {
        ++i;
        value.push_back(labels[i] == 'n' ? '\n' : labels[i]);
      } else {
        value.push_back(labels[i]);
      }
    }
    if (wanted) {
      return value;
    }
    at = i + 2;  // behind the quote and the comma
  }
  return {};
}

}  // namespace

MetricsSample MetricsSample::parse(std::string_view text) {
  MetricsSample sample;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const std::size_t space = line.rfind(' ');
    if (line.empty() || line.front() == '#' || space == std::string_view::npos) {
      continue;
    }
    double value = 0;
    const char* const end = line.data() + line.size();
    if (std::from_chars(line.data() + space + 1, end, value).ec != std::errc()) {
      continue;
    }
    const std::string_view series = line.substr(0, space);
    const std::size_t brace = series.find('{');
    const std::string_view labels = brace == std::string_view::npos
                                        ? std::string_view()
                                        : series.substr(brace + 1, series.size() - brace - 2);
    sample.values_[{std::string(series.substr(0, brace)), std::string(labels)}] = value;
  }
  return sample;
}

double MetricsSample::sum(std::string_view name) const {
  double sum = 0;
  for (auto at = values_.lower_bound({std::string(name), {}});
       at != values_.end() && at->first.first == name;
       ++at) {
    sum += at->second;
  }
  return sum;
}

std::map<std::string, double> MetricsSample::by(std::string_view name, std::string_view label)
    const {
  std::map<std::string, double> sums;
  for (auto at = values_.lower_bound({std::string(name), {}});
       at != values_.end() && at->first.first == name;
       ++at) {
    sums[label_value(at->first.second, label)] += at->second;
  }
  return sums;
}

}  // namespace iotcore::server
