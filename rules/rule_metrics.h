#pragma once

#include "base/ids.h"
#include "base/metrics.h"

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace iotcore::rules {

// What is counted for one rule, under its name, whatever becomes of the rule.
class RuleMetrics {
 public:
  RuleMetrics(Metrics& metrics, std::string rule, std::size_t workers);

  // On that worker.
  void matched(WorkerId worker) {
    matched_[index(worker)]->add();
    aws_matched_[index(worker)]->add();
    aws_executed_[index(worker)]->add();
  }

  void fired(WorkerId worker) { fired_[index(worker)]->add(); }

  // Any thread.
  void failed(std::string_view reason);

  // What an action is and delivers to; for the call.
  struct ActionName {
    std::string_view kind;
    std::string_view target;
  };

  void action_succeeded(ActionName action, double latency_s) {
    actions_succeeded(action, {&latency_s, 1});
  }

  void actions_succeeded(ActionName action, std::span<const double> latencies_s);
  void action_failed(ActionName action, std::string_view reason);

  // Not on a worker.
  void fired_elsewhere() { fired_elsewhere_->add_shared(); }

  void payload_not_json() {
    not_json_->add_shared();
    aws_not_json_->add_shared();
  }

  // A message that had to go since too many of its rule waited.
  void throttled() { throttled_->add_shared(); }

  void error_action_ended(bool success);

 private:
  struct ActionCells {
    Counter* success = nullptr;
    Counter* aws_success = nullptr;
    Counter* aws_failure = nullptr;
    std::map<std::string, Counter*, std::less<>> failures;  // by reason
    Histogram* latency = nullptr;
  };

  struct KeyLess {
    using is_transparent = void;
    using Key = std::pair<std::string, std::string>;

    bool operator()(const Key& a, const Key& b) const { return a < b; }

    bool operator()(const Key& a, const ActionName& b) const {
      return std::pair<std::string_view, std::string_view>(a) < std::pair(b.kind, b.target);
    }

    bool operator()(const ActionName& a, const Key& b) const {
      return std::pair(a.kind, a.target) < std::pair<std::string_view, std::string_view>(b);
    }
  };

  ActionCells& cells(ActionName action);

  Metrics& metrics_;
  const std::string rule_;
  std::vector<Counter*> matched_;  // one for each worker
  std::vector<Counter*> fired_;
  // The same by the names that AWS has for them in CloudWatch.
  std::vector<Counter*> aws_matched_;
  std::vector<Counter*> aws_executed_;  // of all rules together
  Counter* aws_not_json_;
  Counter* throttled_;
  Counter* fired_elsewhere_;
  Counter* not_json_;
  std::mutex mutex_;  // and what follows
  std::map<std::string, Counter*, std::less<>> failed_;
  std::map<std::pair<std::string, std::string>, ActionCells, KeyLess>
      actions_;  // by kind and target
  Counter* error_action_success_ = nullptr;
  Counter* error_action_failure_ = nullptr;
  Counter* aws_error_action_success_ = nullptr;
  Counter* aws_error_action_failure_ = nullptr;
};

// Those of all rules, by name. Any thread.
class RuleMetricsTable {
 public:
  RuleMetricsTable(Metrics& metrics, std::size_t workers) : metrics_(metrics), workers_(workers) {}

  RuleMetrics& of(const std::string& rule);

 private:
  Metrics& metrics_;
  const std::size_t workers_;
  std::mutex mutex_;  // and what follows
  std::map<std::string, std::unique_ptr<RuleMetrics>, std::less<>> rules_;
};

}  // namespace iotcore::rules
