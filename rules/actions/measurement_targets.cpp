#include "rules/actions/measurement_targets.h"

#include "rules/actions/aws_measurements.h"
#include "rules/actions/cloudwatch.h"
#include "rules/actions/fields_action.h"
#include "rules/actions/influx_sink.h"
#include "rules/actions/line_protocol.h"
#include "rules/actions/measurements.h"
#include "rules/actions/postgres.h"
#include "rules/actions/postgres_row.h"
#include "rules/actions/postgres_sink.h"
#include "rules/series/series_store.h"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules::actions {
namespace {

constexpr std::int64_t kNsInMs = 1'000'000;
constexpr std::string_view kPropertyTable = "property_values";

Action::Fields row_of_property(const PropertyValue& property) {
  const std::string value(property.text);
  const auto only = [&](bool is_it) { return is_it ? value : std::string(); };
  return postgres_row(
      std::string(kPropertyTable),
      {"series", "time"},
      {"series", "time", "quality", "number", "text", "flag"},
      {property.series,
       postgres_time(property.time_ns / kNsInMs),
       std::string(property.quality),
       only(property.type == "doubleValue" || property.type == "integerValue"),
       only(property.type == "stringValue"),
       only(property.type == "booleanValue")}
  );
}

Result<PostgresForm> rows_of_properties(const Record& record) {
  IOTCORE_ASSIGN(const std::vector<PropertyValue> properties, property_values_of(record));
  PostgresForm form;
  form.fields = row_of_property(properties.front());
  for (auto property = properties.begin() + 1; property != properties.end(); ++property) {
    form.more.push_back(row_of_property(*property));
  }
  form.series = PostgresSeries{"time", {}, ""};
  for (const PropertyValue& property : properties) {
    form.series->times_ms.push_back(property.time_ns / kNsInMs);
  }
  form.create = fmt::format(
      "CREATE TABLE IF NOT EXISTS {}(series text NOT NULL, time timestamptz NOT NULL, quality "
      "text, number double precision, text text, flag boolean, PRIMARY KEY(series, time))",
      kPropertyTable
  );
  return form;
}

class SiteWiseToInflux final : public InfluxSink {
 public:
  using InfluxSink::InfluxSink;

 private:
  Result<InfluxLines> lines_of(const Record& record) override {
    IOTCORE_ASSIGN(const std::vector<PropertyValue> properties, property_values_of(record));
    InfluxLines made{{}, {}, "ns", {}};
    for (const PropertyValue& each : properties) {
      InfluxPoint point;
      point.measurement = "properties";
      point.tags = {{"series", each.series}, {"quality", std::string(each.quality)}};
      point.time = each.time_ns;
      // One field for each type: InfluxDB takes no other type in a field that it knows.
      point.fields[each.type] =
          std::visit([](const auto& value) { return json::value(value); }, each.value);
      IOTCORE_TRY(append_line(made.lines, point));
    }
    return made;
  }
};

// The latest of a device is the last row by time; what comes late takes its place in the history.
Result<PostgresForm> row_of_position(const Record& record) {
  const Action::Fields& fields = record.fields;
  if (fields.size() != kLocationFieldCount) {
    return fail(Errc::kInvalidRequest, "not a record of this kind");
  }
  IOTCORE_ASSIGN(
      const std::int64_t time_ns,
      fields[kLocationTimestamp].empty()
          ? series::to_nanoseconds(record.received_ms, "MILLISECONDS")
          : series::to_nanoseconds(fields[kLocationTime], fields[kLocationUnit])
  );
  PostgresForm form;
  form.fields = postgres_row(
      fields[kTracker],
      {"device", "time"},
      {"device", "time", "latitude", "longitude"},
      {fields[kDeviceId], postgres_time(time_ns / kNsInMs), fields[kLatitude], fields[kLongitude]}
  );
  form.series = PostgresSeries{
      "time",
      {time_ns / kNsInMs},
      fmt::format("SRID=4326;POINT({} {})", fields[kLongitude], fields[kLatitude])};
  form.create = fmt::format(
      "CREATE TABLE IF NOT EXISTS {}(device text NOT NULL, time timestamptz NOT NULL, latitude "
      "double precision NOT NULL, longitude double precision NOT NULL, PRIMARY KEY(device, time))",
      postgres_quoted_table(fields[kTracker])
  );
  return form;
}

Result<std::int64_t> time_of_measures(const Record& record) {
  return record.fields[kTimestreamTimestamp].empty()
             ? series::to_nanoseconds(record.received_ms, "MILLISECONDS")
             : series::to_nanoseconds(
                   record.fields[kTimestreamTime], record.fields[kTimestreamUnit]
               );
}

Result<json::object> measures_of(const Record& record) {
  Result<json::value> result = parse_json(record.payload);
  if (record.fields.size() < kTimestreamFieldCount || !result || !result->is_object()) {
    return fail(Errc::kInvalidRequest, "the result is not an object, so it has no measures");
  }
  return std::move(result->get_object());
}

class TimestreamToInflux final : public InfluxSink {
 public:
  using InfluxSink::InfluxSink;

 private:
  Result<InfluxLines> lines_of(const Record& record) override {
    InfluxPoint point;
    IOTCORE_ASSIGN(point.fields, measures_of(record));
    IOTCORE_ASSIGN(point.time, time_of_measures(record));
    point.measurement = record.fields[kTimestreamTable];
    for (std::size_t i = kTimestreamFieldCount; i + 1 < record.fields.size(); i += 2) {
      point.tags.emplace_back(record.fields[i], record.fields[i + 1]);
    }
    InfluxLines made{record.fields[kTimestreamDatabase], {}, "ns", {}};
    IOTCORE_TRY(append_line(made.lines, point));
    return made;
  }
};

// PostgreSQL: one row, with the columns time, each dimension and each measure.
Result<PostgresForm> row_of_measures(const Record& record) {
  IOTCORE_ASSIGN(const json::object measures, measures_of(record));
  IOTCORE_ASSIGN(const std::int64_t time_ns, time_of_measures(record));
  json::object row = {{"time", time_ns / kNsInMs}};
  for (std::size_t i = kTimestreamFieldCount; i + 1 < record.fields.size(); i += 2) {
    row[record.fields[i]] = record.fields[i + 1];
  }
  for (const auto& measure : measures) {
    row[measure.key()] = measure.value();
  }
  PostgresForm form;
  form.fields = postgres_payload_row(record.fields[kTimestreamTable], true);
  form.payload = to_json(row);
  form.series = PostgresSeries{"received_at", {record.received_ms}, ""};
  form.create = fmt::format(
      "CREATE TABLE IF NOT EXISTS {}(delivery_id text NOT NULL, received_at timestamptz NOT NULL, "
      "payload jsonb NOT NULL)",
      postgres_quoted_table(record.fields[kTimestreamTable])
  );
  return form;
}

class MetricToInflux final : public InfluxSink {
 public:
  using InfluxSink::InfluxSink;

 private:
  Result<InfluxLines> lines_of(const Record& record) override {
    const Action::Fields& fields = record.fields;
    if (fields.size() != kCloudwatchMetricFieldCount) {
      return fail(Errc::kInvalidRequest, "not a record of this kind");
    }
    InfluxPoint point;
    point.measurement = fields[kMetricNamespace];
    point.tags = {{"metric", fields[kMetricName]}, {"unit", fields[kMetricUnit]}};
    point.fields["value"] = to_number(fields[kMetricValue]).value_or(0);
    IOTCORE_ASSIGN(
        point.time,
        fields[kMetricTimestamp].empty()
            ? series::to_nanoseconds(record.received_ms, "MILLISECONDS")
            : series::to_nanoseconds(fields[kMetricTimestamp], "SECONDS")
    );
    InfluxLines made{{}, {}, "ns", {}};
    IOTCORE_TRY(append_line(made.lines, point));
    return made;
  }
};

}  // namespace

Result<std::unique_ptr<Sink>> make_bound_timestream(
    const TargetRef& target, const SinkEnvironment& environment
) {
  if (target->kind == "influx") {
    return std::make_unique<TimestreamToInflux>(target, *environment.targets);
  }
  if (target->kind == "aws") {
    return make_aws_timestream(target, environment);
  }
  return make_postgres_sink(Timestream::kName, target, environment, &row_of_measures);
}

Result<std::unique_ptr<Sink>> make_bound_metric(
    const TargetRef& target, const SinkEnvironment& environment
) {
  if (target->kind == "influx") {
    return std::make_unique<MetricToInflux>(target, *environment.targets);
  }
  return make_aws_metric(target, environment);
}

Result<std::unique_ptr<Sink>> make_bound_site_wise(
    const TargetRef& target, const SinkEnvironment& environment
) {
  if (target->kind == "influx") {
    return std::make_unique<SiteWiseToInflux>(target, *environment.targets);
  }
  if (target->kind == "aws") {
    return make_aws_site_wise(target, environment);
  }
  return make_postgres_sink(IotSiteWise::kName, target, environment, &rows_of_properties);
}

Result<std::unique_ptr<Sink>> make_bound_location(
    const TargetRef& target, const SinkEnvironment& environment
) {
  if (target->kind == "aws") {
    return make_aws_location(target, environment);
  }
  return make_postgres_sink(Location::kName, target, environment, &row_of_position);
}

}  // namespace iotcore::rules::actions
