#include "rules/rule_metrics.h"

#include <cctype>

namespace iotcore::rules {
namespace {

// "dynamoDBv2" is DynamoDBv2 in CloudWatch.
std::string aws_action_type(std::string_view action) {
  std::string type(action);
  if (!type.empty()) {
    type[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(type[0])));
  }
  return type;
}

}  // namespace

RuleMetrics::RuleMetrics(Metrics& metrics, std::string rule, std::size_t workers)
    : metrics_(metrics), rule_(std::move(rule)) {
  const auto fired = [&]() -> Counter* {
    return &metrics.counter(
        "iotcore_rule_fired_total", "Messages for which a rule's WHERE was true", {{"rule", rule_}}
    );
  };
  fired_elsewhere_ = fired();
  not_json_ = &metrics.counter(
      "iotcore_rule_parse_error_total",
      "Messages given to a rule whose payload looks like JSON and is not",
      {{"rule", rule_}}
  );
  const MetricLabels aws = {{"RuleName", rule_}};
  aws_not_json_ = &metrics.counter("aws_iot_parse_error_total", "AWS/IoT ParseError", aws);
  throttled_ =
      &metrics.counter("aws_iot_rule_message_throttled_total", "AWS/IoT RuleMessageThrottled", aws);
  for (std::size_t i = 0; i < workers; ++i) {
    aws_matched_.push_back(&metrics.counter("aws_iot_topic_match_total", "AWS/IoT TopicMatch", aws)
    );
    aws_executed_.push_back(
        &metrics.counter("aws_iot_rules_executed_total", "AWS/IoT RulesExecuted")
    );
    matched_.push_back(&metrics.counter(
        "iotcore_rule_matched_total", "Messages given to a rule", {{"rule", rule_}}
    ));
    fired_.push_back(fired());
  }
}

void RuleMetrics::action_failed(ActionName action, std::string_view reason) {
  const std::lock_guard lock(mutex_);
  ActionCells& counted = cells(action);
  counted.aws_failure->add();
  Counter*& counter = counted.failures[std::string(reason)];
  if (counter == nullptr) {
    counter = &metrics_.counter(
        "iotcore_action_failure_total",
        "Records an action gave up",
        {{"rule", rule_},
         {"action", std::string(action.kind)},
         {"target", std::string(action.target)},
         {"reason", std::string(reason)}}
    );
  }
  counter->add();
}

void RuleMetrics::failed(std::string_view reason) {
  const std::lock_guard lock(mutex_);
  Counter*& cell = failed_[std::string(reason)];
  if (cell == nullptr) {
    cell = &metrics_.counter(
        "iotcore_rule_failed_total",
        "Messages for which a rule could not be evaluated",
        {{"rule", rule_}, {"reason", std::string(reason)}}
    );
  }
  cell->add();
}

RuleMetrics::ActionCells& RuleMetrics::cells(ActionName action) {
  const auto found = actions_.find(action);
  if (found != actions_.end()) {
    return found->second;
  }
  const MetricLabels labels = {
      {"rule", rule_},
      {"action", std::string(action.kind)},
      {"target", std::string(action.target)}};
  ActionCells made;
  made.success =
      &metrics_.counter("iotcore_action_success_total", "Records delivered by an action", labels);
  const MetricLabels aws = {{"RuleName", rule_}, {"ActionType", aws_action_type(action.kind)}};
  made.aws_success = &metrics_.counter("aws_iot_success_total", "AWS/IoT Success", aws);
  made.aws_failure = &metrics_.counter("aws_iot_failure_total", "AWS/IoT Failure", aws);
  made.latency = &metrics_.histogram(
      "iotcore_action_latency_seconds", "From publish to the sink's acknowledgement", labels
  );
  return actions_.emplace(std::pair(std::string(action.kind), std::string(action.target)), made)
      .first->second;
}

void RuleMetrics::actions_succeeded(ActionName action, std::span<const double> latencies_s) {
  const std::lock_guard lock(mutex_);
  ActionCells& counted = cells(action);
  counted.success->add(latencies_s.size());
  counted.aws_success->add(latencies_s.size());
  for (const double latency_s : latencies_s) {
    counted.latency->observe(latency_s);
  }
}

void RuleMetrics::error_action_ended(bool success) {
  const std::lock_guard lock(mutex_);
  Counter*& cell = success ? error_action_success_ : error_action_failure_;
  Counter*& aws = success ? aws_error_action_success_ : aws_error_action_failure_;
  if (cell == nullptr) {
    aws = &metrics_.counter(
        success ? "aws_iot_error_action_success_total" : "aws_iot_error_action_failure_total",
        success ? "AWS/IoT ErrorActionSuccess" : "AWS/IoT ErrorActionFailure",
        {{"RuleName", rule_}}
    );
    cell =
        success
            ? &metrics_.counter(
                  "iotcore_error_action_success_total", "errorActions delivered", {{"rule", rule_}}
              )
            : &metrics_.counter(
                  "iotcore_error_action_failure_total",
                  "errorActions that failed too",
                  {{"rule", rule_}}
              );
  }
  cell->add();
  aws->add();
}

RuleMetrics& RuleMetricsTable::of(const std::string& rule) {
  const std::lock_guard lock(mutex_);
  std::unique_ptr<RuleMetrics>& found = rules_[rule];
  if (!found) {
    found = std::make_unique<RuleMetrics>(metrics_, rule, workers_);
  }
  return *found;
}

}  // namespace iotcore::rules
