#include "rules/actions/aws_measurements.h"

#include "rules/actions/aws_calls.h"
#include "rules/actions/cloudwatch.h"
#include "rules/actions/fields_action.h"
#include "rules/actions/measurements.h"
#include "rules/series/series_store.h"

#include <fmt/format.h>

namespace iotcore::rules::actions {
namespace {

constexpr std::int64_t kNsInMs = 1'000'000;

tl::unexpected<Error> not_of_this_kind() {
  return fail(Errc::kInvalidRequest, "not a record of this kind");
}

json::object measure_of(std::string_view name, const json::value& value) {
  std::string_view type = "VARCHAR";
  std::string text = to_json(value);
  if (value.is_bool()) {
    type = "BOOLEAN";
  } else if (value.is_int64()) {
    type = "BIGINT";
  } else if (value.is_number()) {
    type = "DOUBLE";
  } else if (value.is_string()) {
    text = std::string(value.get_string());
  }
  return {{"MeasureName", name}, {"MeasureValue", text}, {"MeasureValueType", type}};
}

Result<net::HttpRequest> request_of_measures(const Record& record) {
  const Action::Fields& fields = record.fields;
  const Result<json::value> result = parse_json(record.payload);
  if (fields.size() < kTimestreamFieldCount || !result || !result->is_object()) {
    return fail(Errc::kInvalidRequest, "the result is not an object, so it has no measures");
  }
  json::array records;
  for (const auto& measure : result->get_object()) {
    if (!measure.value().is_null()) {
      records.push_back(measure_of(measure.key(), measure.value()));
    }
  }
  json::array dimensions;
  for (std::size_t i = kTimestreamFieldCount; i + 1 < fields.size(); i += 2) {
    dimensions.push_back(json::object{{"Name", fields[i]}, {"Value", fields[i + 1]}});
  }
  const bool is_timed = !fields[kTimestreamTimestamp].empty();
  json::object common;
  common["Dimensions"] = std::move(dimensions);
  common["Time"] = is_timed ? fields[kTimestreamTime] : fmt::to_string(record.received_ms);
  common["TimeUnit"] = is_timed ? fields[kTimestreamUnit] : "MILLISECONDS";
  json::object body;
  body["DatabaseName"] = fields[kTimestreamDatabase];
  body["TableName"] = fields[kTimestreamTable];
  body["CommonAttributes"] = std::move(common);
  body["Records"] = std::move(records);
  return aws_json_request("Timestream_20181101.WriteRecords", "1.0", body);
}

constexpr AwsApi kTimestream = {
    .endpoint =
        {.host = "ingest.timestream",
         .service = "timestream",
         .discovery = "Timestream_20181101.DescribeEndpoints"},
    .request_of = &request_of_measures};

json::object value_of(const Action::Fields& fields, std::size_t at, const PropertyValue& parsed) {
  json::object timestamp;
  timestamp["timeInSeconds"] = to_whole_number(fields[at + kTimeInSeconds]).value_or(0);
  if (!fields[at + kOffsetInNanos].empty()) {
    timestamp["offsetInNanos"] = to_whole_number(fields[at + kOffsetInNanos]).value_or(0);
  }
  json::object value;
  value["value"] = json::object{
      {parsed.type,
       std::visit([](const auto& plain) { return json::value(plain); }, parsed.value)}};
  value["timestamp"] = std::move(timestamp);
  if (!fields[at + kQuality].empty()) {
    value["quality"] = fields[at + kQuality];
  }
  return value;
}

// An entry for values of one series that follow one another, as the action has them: at most ten.
Result<net::HttpRequest> request_of_properties(const Record& record) {
  constexpr std::size_t kValuesMax = 10;
  const Action::Fields& fields = record.fields;
  IOTCORE_ASSIGN(const std::vector<PropertyValue> parsed, property_values_of(record));
  json::array entries;
  json::array values;
  for (std::size_t at = 0; at < fields.size(); at += kSiteWiseFieldCount) {
    values.push_back(value_of(fields, at, parsed[at / kSiteWiseFieldCount]));
    const std::size_t next = at + kSiteWiseFieldCount;
    const bool goes_on = next < fields.size() && values.size() < kValuesMax &&
                         fields[at + kAlias] == fields[next + kAlias] &&
                         fields[at + kAssetId] == fields[next + kAssetId] &&
                         fields[at + kPropertyId] == fields[next + kPropertyId];
    if (goes_on) {
      continue;
    }
    json::object entry;
    entry["entryId"] = fmt::to_string(entries.size());
    if (fields[at + kAlias].empty()) {
      entry["assetId"] = fields[at + kAssetId];
      entry["propertyId"] = fields[at + kPropertyId];
    } else {
      entry["propertyAlias"] = fields[at + kAlias];
    }
    entry["propertyValues"] = std::exchange(values, {});
    entries.push_back(std::move(entry));
  }
  return aws_rest_request("/properties", json::object{{"entries", std::move(entries)}});
}

constexpr AwsApi kSiteWise = {
    .endpoint = {.host = "data.iotsitewise", .service = "iotsitewise"},
    .request_of = &request_of_properties,
    .refusals = "errorEntries"};

Result<net::HttpRequest> request_of_position(const Record& record) {
  const Action::Fields& fields = record.fields;
  if (fields.size() != kLocationFieldCount) {
    return not_of_this_kind();
  }
  std::int64_t time_ms = record.received_ms;
  if (!fields[kLocationTimestamp].empty()) {
    IOTCORE_ASSIGN(
        const std::int64_t time_ns,
        series::to_nanoseconds(fields[kLocationTime], fields[kLocationUnit])
    );
    time_ms = time_ns / kNsInMs;
  }
  json::object update;
  update["DeviceId"] = fields[kDeviceId];
  update["SampleTime"] = aws_time(time_ms);
  update["Position"] = json::array{
      to_number(fields[kLongitude]).value_or(0), to_number(fields[kLatitude]).value_or(0)};
  return aws_rest_request(
      fmt::format("/tracking/v0/trackers/{}/positions", net::percent_encode(fields[kTracker])),
      json::object{{"Updates", json::array{std::move(update)}}}
  );
}

constexpr AwsApi kLocation = {
    .endpoint = {.host = "tracking.geo", .service = "geo"},
    .request_of = &request_of_position,
    .refusals = "Errors"};

Result<net::HttpRequest> request_of_metric(const Record& record) {
  const Action::Fields& fields = record.fields;
  if (fields.size() != kCloudwatchMetricFieldCount) {
    return not_of_this_kind();
  }
  std::int64_t time_ms = record.received_ms;
  if (!fields[kMetricTimestamp].empty()) {
    IOTCORE_ASSIGN(
        const std::int64_t time_ns, series::to_nanoseconds(fields[kMetricTimestamp], "SECONDS")
    );
    time_ms = time_ns / kNsInMs;
  }
  return aws_query_request({
      {"Action", "PutMetricData"},
      {"Version", "2010-08-01"},
      {"Namespace", fields[kMetricNamespace]},
      {"MetricData.member.1.MetricName", fields[kMetricName]},
      {"MetricData.member.1.Timestamp", aws_time(time_ms)},
      {"MetricData.member.1.Value", fields[kMetricValue]},
      {"MetricData.member.1.Unit", fields[kMetricUnit]},
  });
}

constexpr AwsApi kMetrics = {
    .endpoint = {.host = "monitoring", .service = "monitoring"}, .request_of = &request_of_metric};

}  // namespace

Result<std::unique_ptr<Sink>> make_aws_timestream(
    const TargetRef& target, const SinkEnvironment& environment
) {
  return make_aws_call_sink(Timestream::kName, kTimestream, target, environment);
}

Result<std::unique_ptr<Sink>> make_aws_site_wise(
    const TargetRef& target, const SinkEnvironment& environment
) {
  return make_aws_call_sink(IotSiteWise::kName, kSiteWise, target, environment);
}

Result<std::unique_ptr<Sink>> make_aws_location(
    const TargetRef& target, const SinkEnvironment& environment
) {
  return make_aws_call_sink(Location::kName, kLocation, target, environment);
}

Result<std::unique_ptr<Sink>> make_aws_metric(
    const TargetRef& target, const SinkEnvironment& environment
) {
  return make_aws_call_sink(CloudwatchMetric::kName, kMetrics, target, environment);
}

}  // namespace iotcore::rules::actions
