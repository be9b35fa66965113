#pragma once

#include "rules/action.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

// The actions that write measurements. Built in: the time-series store, series/series_store.h.
namespace iotcore::rules::actions {

// timestream(databaseName*, tableName*, dimensions*, timestamp): a point for each member of the result.
struct Timestream {
  static constexpr std::string_view kName = "timestream";
  static constexpr bool kIsAws = true;
  static constexpr SinkDefaults kDefaults = {.batch_size = 500, .concurrency_max = 1};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

// iotSiteWise(putAssetPropertyValueEntries*): the values of properties, database `sitewise`, table `properties`; the name is the property's alias or
// asset/property.
struct IotSiteWise {
  static constexpr std::string_view kName = "iotSiteWise";
  static constexpr bool kIsAws = true;
  static constexpr SinkDefaults kDefaults = {.batch_size = 500, .concurrency_max = 1};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

// location(trackerName*, deviceId*, latitude*, longitude*, timestamp): where a device is and was.
struct Location {
  static constexpr std::string_view kName = "location";
  static constexpr bool kIsAws = true;
  static constexpr SinkDefaults kDefaults = {.batch_size = 500, .concurrency_max = 1};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

// The fields of their records. timestream: behind these, a name and a value for each dimension.
enum TimestreamField : std::size_t {
  kTimestreamDatabase,
  kTimestreamTable,
  kTimestreamTimestamp,
  kTimestreamTime,
  kTimestreamUnit,
  kTimestreamFieldCount
};

// iotSiteWise: these again and again, one group for each value.
enum SiteWiseField : std::size_t {
  kAlias,
  kAssetId,
  kPropertyId,
  kTimeInSeconds,
  kOffsetInNanos,
  kQuality,
  kValueType,  // "stringValue", "booleanValue", "doubleValue" or "integerValue"
  kPropertyValue,
  kSiteWiseFieldCount
};

// One value of an iotSiteWise record. Views are into the record.
struct PropertyValue {
  std::string series;  // its alias, or asset/property
  std::int64_t time_ns = 0;
  std::string_view quality;
  std::string_view type;  // as kValueType
  std::string_view text;
  std::variant<double, std::int64_t, std::string_view, bool> value;  // the text, as its type says
};

// At least one. kInvalidRequest: not a record of the action, or its time is out of range.
Result<std::vector<PropertyValue>> property_values_of(const Record& record);

enum LocationField : std::size_t {
  kTracker,
  kDeviceId,
  kLatitude,
  kLongitude,
  kLocationTimestamp,
  kLocationTime,
  kLocationUnit,
  kLocationFieldCount
};

}  // namespace iotcore::rules::actions
