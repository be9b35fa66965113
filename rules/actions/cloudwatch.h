#pragma once

#include "rules/action.h"

namespace iotcore::rules::actions {

// cloudwatchMetric(metricNamespace*, metricName*, metricValue*, metricUnit*, metricTimestamp). Built in: on /metrics, and a point in the time-series store,
// database `cloudwatch`, table = namespace.
struct CloudwatchMetric {
  static constexpr std::string_view kName = "cloudwatchMetric";
  static constexpr bool kIsAws = true;
  static constexpr SinkDefaults kDefaults = {.batch_size = 500, .concurrency_max = 1};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

// cloudwatchAlarm(alarmName*, stateReason*, stateValue*). Built in: the table `alarms`; when a state changes, $iotcore/alarms/<name> is published.
struct CloudwatchAlarm {
  static constexpr std::string_view kName = "cloudwatchAlarm";
  static constexpr bool kIsAws = true;
  static constexpr SinkDefaults kDefaults = {.concurrency_max = 1};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

enum CloudwatchMetricField : std::size_t {
  kMetricNamespace,
  kMetricName,
  kMetricValue,
  kMetricUnit,
  kMetricTimestamp,
  kCloudwatchMetricFieldCount
};

enum CloudwatchAlarmField : std::size_t {
  kAlarmName,
  kStateReason,
  kStateValue,
  kCloudwatchAlarmFieldCount
};

}  // namespace iotcore::rules::actions
