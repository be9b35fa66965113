#pragma once

#include "rules/action.h"

#include <cstdint>
#include <string>
#include <vector>

// The actions that append to streams, logs and channels. Built in: files below the sinks' folder, a line an event.
namespace iotcore::rules::actions {

// kinesis(streamName*, partitionKey): streams/<stream>/<shard>/<day>.jsonl, by the hash of the key.
struct Kinesis {
  static constexpr std::string_view kName = "kinesis";
  static constexpr bool kIsAws = true;
  static constexpr SinkDefaults kDefaults = {.batch_size = 500, .concurrency_max = 1};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

// cloudwatchLogs(logGroupName*, batchMode): logs/<group>/<day>.log
struct CloudwatchLogs {
  static constexpr std::string_view kName = "cloudwatchLogs";
  static constexpr bool kIsAws = true;
  static constexpr SinkDefaults kDefaults = {.batch_size = 1000, .concurrency_max = 1};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

// iotAnalytics(channelName or channelArn, batchMode): channels/<name>/<day>.jsonl
struct IotAnalytics {
  static constexpr std::string_view kName = "iotAnalytics";
  static constexpr bool kIsAws = true;
  static constexpr SinkDefaults kDefaults = {.batch_size = 1000, .concurrency_max = 1};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

// What cloudwatchLogs writes, for those who take text.
struct LogEvent {
  std::int64_t time_ms;
  std::string message;
};

// Those of a record, by time. An error is permanent.
Result<std::vector<LogEvent>> log_events_of(const Record& record);

enum KinesisField : std::size_t { kStream, kPartitionKey, kKinesisFieldCount };

enum CloudwatchLogsField : std::size_t { kLogGroup, kLogBatchMode, kCloudwatchLogsFieldCount };

enum IotAnalyticsField : std::size_t {
  kChannelName,
  kChannelArn,
  kChannelBatchMode,
  kIotAnalyticsFieldCount
};

}  // namespace iotcore::rules::actions
