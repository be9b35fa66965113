#pragma once

#include "rules/action.h"

namespace iotcore::rules::actions {

// influxDB(destinationArn*, databaseName*, tableName*, organization, tags, timestampUnit s|ms|us|ns, batchConfig): a point for the result, or for each element of
// it if it is a list. Each has a whole number `timestamp`; members used by @{…} or by a tag are tags, the others fields. Built in: the time-series
// store; a target of kind `influx` whose match fits databaseName is InfluxDB itself.
struct InfluxDb {
  static constexpr std::string_view kName = "influxDB";
  static constexpr bool kIsAws = true;
  static constexpr SinkDefaults kDefaults = {
      .batch_size = 500, .batch_bytes = 1U << 20, .concurrency_max = 1};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

}  // namespace iotcore::rules::actions
