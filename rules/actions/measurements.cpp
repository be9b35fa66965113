#include "rules/actions/measurements.h"

#include "base/json.h"
#include "rules/actions/aws_sinks.h"
#include "rules/actions/fields_action.h"
#include "rules/actions/measurement_targets.h"
#include "rules/actions/transaction_sink.h"
#include "rules/series/series_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace iotcore::rules::actions {
namespace {

template <SqliteResult<void> (*kWrite)(SqliteDatabase&, const Record&)>
Result<std::unique_ptr<Sink>> make_series_sink(const SinkEnvironment& environment) {
  return std::make_unique<TransactionSink>(
      environment.folder / series::kFileName, series::kSchema, kWrite
  );
}

Status check_unit(std::string_view value) {
  IOTCORE_TRY(series::to_nanoseconds(0, value));
  return {};
}

// timestream

constexpr std::size_t kDimensionsMax = 128;
constexpr std::size_t kMeasuresMax = 100;

// As Timestream has it, and one that does not lead out of its place anywhere.
Status check_store_name(std::string_view value) {
  constexpr std::size_t kBytesMax = 256;
  const bool letters = std::ranges::all_of(value, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
  });
  return !value.empty() && value.size() <= kBytesMax && letters
             ? Status()
             : fail(
                   Errc::kInvalidRequest,
                   fmt::format("'{}' is not a name of 1 to 256 letters, digits and _.-", value)
               );
}

Status check_dimension(std::string_view name) {
  const bool reserved = name == "measure_name" || name == "measure_value" || name == "time" ||
                        name.starts_with("ts_") || name.find(':') != std::string_view::npos;
  return reserved ? fail(
                        Errc::kInvalidRequest,
                        fmt::format("'{}' is a name that Timestream keeps for itself", name)
                    )
                  : Status();
}

constexpr auto kTimestreamFields = std::to_array<FieldSpec>({
    {.member = "databaseName", .check = check_store_name},
    {.member = "tableName", .check = check_store_name},
    {.member = "timestamp", .kind = FieldKind::kObject, .presence = Presence::kOptional},
    {.member = "timestamp.value", .check = check_whole_number},
    {.member = "timestamp.unit", .check = check_unit},
});
static_assert(kTimestreamFields.size() == kTimestreamFieldCount);

constexpr FieldSpec kDimensionName = {
    .member = "dimensions.name", .kind = FieldKind::kText, .check = check_dimension};
constexpr FieldSpec kDimensionValue = {.member = "dimensions.value"};

void read_dimensions(MemberReader& members, FieldsAction& action) {
  const json::array* dimensions = members.optional_array("dimensions");
  if (dimensions == nullptr || dimensions->empty() || dimensions->size() > kDimensionsMax) {
    members.fail_member("dimensions", "must have 1 to 128 entries");
    return;
  }
  for (std::size_t i = 0; i < dimensions->size(); ++i) {
    const std::string at = fmt::format("{}/{}", members.pointer_to("dimensions"), i);
    if (!(*dimensions)[i].is_object()) {
      members.fail_at(at, "must be an object with name and value");
      return;
    }
    MemberReader dimension = members.inner((*dimensions)[i].get_object(), at);
    add_list_field(action, dimension, kDimensionName);
    add_list_field(action, dimension, kDimensionValue);
    members.take_error(dimension);
  }
}

Status check_timestream_time(const Action::Fields& fields) {
  if (!fields[kTimestreamTimestamp].empty()) {
    IOTCORE_TRY(series::to_nanoseconds(fields[kTimestreamTime], fields[kTimestreamUnit]));
  }
  return {};
}

constexpr ActionSpec kTimestreamSpec = {
    .kind = Timestream::kName,
    .fields = kTimestreamFields,
    .name = kTimestreamTable,
    .needs_json = true,
    .read_lists = read_dimensions,
    .check = check_timestream_time};

// `text` keeps what the value refers to. Nothing: it is left out.
std::optional<decltype(series::PointView::value)> to_value(
    const json::value& value, std::string& text
) {
  switch (value.kind()) {
    case json::kind::bool_:
      return value.get_bool();
    case json::kind::int64:
      return value.get_int64();
    case json::kind::uint64:
      return static_cast<double>(value.get_uint64());
    case json::kind::double_:
      return value.get_double();
    case json::kind::string:
      return std::string_view(value.get_string());
    case json::kind::array:
    case json::kind::object:
      text = to_json(value);
      return std::string_view(text);
    case json::kind::null:
      break;
  }
  return std::nullopt;
}

SqliteResult<void> write_measures(SqliteDatabase& database, const Record& record) {
  const Action::Fields& fields = record.fields;
  const Result<json::value> result = parse_json(record.payload);
  if (fields.size() < kTimestreamFieldCount || !result || !result->is_object()) {
    return refuse_record("the result is not an object, so it has no measures");
  }
  const json::object& measures = result->get_object();
  if (measures.empty() || measures.size() > kMeasuresMax) {
    return refuse_record(fmt::format("{} measures are not 1 to {}", measures.size(), kMeasuresMax));
  }
  json::object dimensions;
  for (std::size_t i = kTimestreamFieldCount; i + 1 < fields.size(); i += 2) {
    dimensions[fields[i]] = fields[i + 1];
  }
  const std::string dimensions_json = to_json(json::value(std::move(dimensions)));
  series::PointView point;
  point.database = fields[kTimestreamDatabase];
  point.table = fields[kTimestreamTable];
  point.dimensions = dimensions_json;
  const Result<std::int64_t> time =
      fields[kTimestreamTimestamp].empty()
          ? series::to_nanoseconds(record.received_ms, "MILLISECONDS")
          : series::to_nanoseconds(fields[kTimestreamTime], fields[kTimestreamUnit]);
  if (!time) {
    return refuse_record(time.error().message());
  }
  point.time_ns = *time;
  for (const auto& measure : measures) {
    std::string text;
    const auto value = to_value(measure.value(), text);
    if (!value) {
      continue;
    }
    point.name = measure.key();
    point.value = *value;
    if (auto written = series::write_point(database, point); !written) {
      return written;
    }
  }
  return {};
}

constexpr AwsSinks kTimestreamSinks = {
    Timestream::kName,
    &field_of<kTimestreamTable>,
    &make_series_sink<&write_measures>,
    &make_bound_timestream};

// iotSiteWise

constexpr std::size_t kEntriesMax = 10;  // of one BatchPutAssetPropertyValue

Status check_quality(std::string_view value) {
  return value == "GOOD" || value == "BAD" || value == "UNCERTAIN"
             ? Status()
             : fail(
                   Errc::kInvalidRequest,
                   fmt::format("'{}' is none of GOOD, BAD and UNCERTAIN", value)
               );
}

Status check_boolean(std::string_view value) {
  return value == "true" || value == "false"
             ? Status()
             : fail(Errc::kInvalidRequest, fmt::format("'{}' is neither true nor false", value));
}

Status check_nanoseconds(std::string_view value) {
  constexpr std::int64_t kMost = 999'999'999;
  const auto number = to_whole_number(value);
  return number && *number >= 0 && *number <= kMost
             ? Status()
             : fail(Errc::kInvalidRequest, fmt::format("'{}' is not 0 to 999999999", value));
}

Status check_text(std::string_view value) {
  constexpr std::size_t kBytesMax = 1024;
  return value.size() <= kBytesMax ? Status()
                                   : fail(Errc::kInvalidRequest, "is longer than 1024 bytes");
}

constexpr FieldSpec kOptionalText = {.member = "", .presence = Presence::kOptional};
constexpr FieldSpec kSeconds = {.member = "timestamp.timeInSeconds", .check = check_whole_number};
constexpr FieldSpec kNanoseconds = {
    .member = "timestamp.offsetInNanos",
    .presence = Presence::kOptional,
    .check = check_nanoseconds};
constexpr FieldSpec kQualitySpec = {
    .member = "quality", .presence = Presence::kOptional, .check = check_quality};

constexpr auto kVariants = std::to_array<FieldSpec>({
    {.member = "stringValue", .check = check_text},
    {.member = "booleanValue", .check = check_boolean},
    {.member = "doubleValue", .check = check_number},
    {.member = "integerValue", .check = check_whole_number},
});

// The same three times for each value of an entry.
void add_series(FieldsAction& action, MemberReader& entry) {
  for (const std::string_view member : {"propertyAlias", "assetId", "propertyId"}) {
    action.add(entry.optional_template(member), kOptionalText);
  }
}

void add_variant(FieldsAction& action, MemberReader& value) {
  const json::object* object = value.optional_object("value");
  if (object == nullptr) {
    value.fail_at(value.pointer(), "member value is missing");
    return;
  }
  MemberReader variant = value.inner(*object, value.pointer_to("value"));
  const auto* given = std::ranges::find_if(kVariants, [&](const FieldSpec& each) {
    return variant.has(each.member);
  });
  if (given == kVariants.end() || object->size() != 1) {
    variant.fail_at(
        variant.pointer(),
        "must have one of stringValue, booleanValue, doubleValue and integerValue"
    );
    value.take_error(variant);
    return;
  }
  action.add(std::string(given->member));
  add_list_field(action, variant, *given);
  value.take_error(variant);
}

void add_value(FieldsAction& action, MemberReader& entry, MemberReader& value) {
  add_series(action, entry);
  const json::object* timestamp = value.optional_object("timestamp");
  if (timestamp == nullptr) {
    value.fail_at(value.pointer(), "member timestamp is missing");
    return;
  }
  MemberReader time = value.inner(*timestamp, value.pointer_to("timestamp"));
  add_list_field(action, time, kSeconds);
  add_list_field(action, time, kNanoseconds);
  value.take_error(time);
  add_list_field(action, value, kQualitySpec);
  add_variant(action, value);
}

// The objects of a list, each by a reader of its own.
template <typename Visit>
void each_object(MemberReader& members, std::string_view name, std::size_t most, Visit visit) {
  const json::array* list = members.optional_array(name);
  if (list == nullptr || list->empty() || list->size() > most) {
    members.fail_member(name, fmt::format("must have 1 to {} entries", most));
    return;
  }
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string at = fmt::format("{}/{}", members.pointer_to(name), i);
    if (!(*list)[i].is_object()) {
      members.fail_at(at, "must be an object");
      return;
    }
    MemberReader inner = members.inner((*list)[i].get_object(), at);
    visit(inner);
    members.take_error(inner);
  }
}

void read_entries(MemberReader& members, FieldsAction& action) {
  constexpr std::size_t kValuesMax = 10;
  each_object(members, "putAssetPropertyValueEntries", kEntriesMax, [&](MemberReader& entry) {
    static_cast<void>(entry.optional_template("entryId"));
    const bool by_ids = entry.has("assetId") && entry.has("propertyId");
    const bool any_id = entry.has("assetId") || entry.has("propertyId");
    if (entry.has("propertyAlias") ? any_id : !by_ids) {
      entry.fail_at(entry.pointer(), "needs propertyAlias, or assetId and propertyId");
    }
    each_object(entry, "propertyValues", kValuesMax, [&](MemberReader& value) {
      add_value(action, entry, value);
    });
  });
}

Status check_site_wise(const Action::Fields& fields) {
  for (std::size_t at = 0; at + kSiteWiseFieldCount <= fields.size(); at += kSiteWiseFieldCount) {
    const bool by_ids = !fields[at + kAssetId].empty() && !fields[at + kPropertyId].empty();
    if (fields[at + kAlias].empty() && !by_ids) {
      return fail(Errc::kInvalidRequest, "neither an alias nor the ids of asset and property");
    }
    IOTCORE_TRY(series::to_nanoseconds(fields[at + kTimeInSeconds], "SECONDS"));
  }
  return {};
}

constexpr ActionSpec kSiteWiseSpec = {
    .kind = IotSiteWise::kName,
    .fields = {},
    .name = kAlias,
    .read_lists = read_entries,
    .check = check_site_wise};

SqliteResult<void> write_properties(SqliteDatabase& database, const Record& record) {
  const Result<std::vector<PropertyValue>> values = property_values_of(record);
  if (!values) {
    return refuse_record(values.error().message());
  }
  for (const PropertyValue& each : *values) {
    const std::string quality =
        each.quality.empty() ? "{}" : to_json(json::value(json::object{{"quality", each.quality}}));
    series::PointView point;
    point.database = "sitewise";
    point.table = "properties";
    point.name = each.series;
    point.time_ns = each.time_ns;
    point.dimensions = quality;
    point.value = each.value;
    if (auto written = series::write_point(database, point); !written) {
      return written;
    }
  }
  return {};
}

constexpr AwsSinks kSiteWiseSinks = {
    IotSiteWise::kName,
    &field_of<kAlias>,
    &make_series_sink<&write_properties>,
    &make_bound_site_wise};

// location

template <int kMost>
Status check_degrees(std::string_view value) {
  const auto number = to_number(value);
  return number && *number >= -kMost && *number <= kMost
             ? Status()
             : fail(
                   Errc::kInvalidRequest,
                   fmt::format("'{}' is not a number from -{} to {}", value, kMost, kMost)
               );
}

constexpr auto kLocationFields = std::to_array<FieldSpec>({
    {.member = "trackerName", .kind = FieldKind::kText, .check = check_resource_name},
    {.member = "deviceId"},
    {.member = "latitude", .check = check_degrees<90>},
    {.member = "longitude", .check = check_degrees<180>},
    {.member = "timestamp", .kind = FieldKind::kObject, .presence = Presence::kOptional},
    {.member = "timestamp.value", .check = check_whole_number},
    {.member = "timestamp.unit",
     .presence = Presence::kOptional,
     .check = check_unit,
     .absent = "MILLISECONDS"},
});
static_assert(kLocationFields.size() == kLocationFieldCount);

Status check_location_time(const Action::Fields& fields) {
  if (!fields[kLocationTimestamp].empty()) {
    IOTCORE_TRY(series::to_nanoseconds(fields[kLocationTime], fields[kLocationUnit]));
  }
  return {};
}

constexpr ActionSpec kLocationSpec = {
    .kind = Location::kName,
    .fields = kLocationFields,
    .name = kTracker,
    .check = check_location_time,
    .order_by = kDeviceId};

SqliteResult<void> write_location(SqliteDatabase& database, const Record& record) {
  const Action::Fields& fields = record.fields;
  if (fields.size() != kLocationFieldCount) {
    return refuse_record("not a record of this kind");
  }
  const Result<std::int64_t> time =
      fields[kLocationTimestamp].empty()
          ? series::to_nanoseconds(record.received_ms, "MILLISECONDS")
          : series::to_nanoseconds(fields[kLocationTime], fields[kLocationUnit]);
  const auto latitude = to_number(fields[kLatitude]);
  const auto longitude = to_number(fields[kLongitude]);
  if (!time || !latitude || !longitude) {
    return refuse_record("not a position");
  }
  return series::write_position(
      database, {fields[kTracker], fields[kDeviceId], *time, *latitude, *longitude}
  );
}

constexpr AwsSinks kLocationSinks = {
    Location::kName, &field_of<kTracker>, &make_series_sink<&write_location>, &make_bound_location};

}  // namespace

Result<std::vector<PropertyValue>> property_values_of(const Record& record) {
  const Action::Fields& fields = record.fields;
  if (fields.empty() || fields.size() % kSiteWiseFieldCount != 0) {
    return fail(Errc::kInvalidRequest, "not a record of this kind");
  }
  std::vector<PropertyValue> all;
  for (std::size_t at = 0; at < fields.size(); at += kSiteWiseFieldCount) {
    PropertyValue& made = all.emplace_back();
    made.series = fields[at + kAlias].empty()
                      ? fields[at + kAssetId] + "/" + fields[at + kPropertyId]
                      : fields[at + kAlias];
    IOTCORE_ASSIGN(
        const std::int64_t seconds_ns,
        series::to_nanoseconds(fields[at + kTimeInSeconds], "SECONDS")
    );
    const std::int64_t offset_ns = to_whole_number(fields[at + kOffsetInNanos]).value_or(0);
    if (__builtin_add_overflow(seconds_ns, offset_ns, &made.time_ns)) {
      return fail(Errc::kInvalidRequest, "the time of a value is out of range");
    }
    made.quality = fields[at + kQuality];
    made.type = fields[at + kValueType];
    made.text = fields[at + kPropertyValue];
    if (made.type == "doubleValue") {
      made.value = to_number(made.text).value_or(0);
    } else if (made.type == "integerValue") {
      made.value = to_whole_number(made.text).value_or(0);
    } else if (made.type == "booleanValue") {
      made.value = made.text == "true";
    } else {
      made.value = made.text;
    }
  }
  return all;
}

ParsedAction Timestream::parse(MemberReader& members, const SinkEnvironment& environment) {
  return parse_fields(members, environment, kTimestreamSpec);
}

Result<std::unique_ptr<Sink>> Timestream::make_sink(
    std::string_view target, const SinkEnvironment& environment
) {
  return make_aws_sink(target, environment, kTimestreamSinks, &make_sink);
}

ParsedAction IotSiteWise::parse(MemberReader& members, const SinkEnvironment& environment) {
  return parse_fields(members, environment, kSiteWiseSpec);
}

Result<std::unique_ptr<Sink>> IotSiteWise::make_sink(
    std::string_view target, const SinkEnvironment& environment
) {
  return make_aws_sink(target, environment, kSiteWiseSinks, &make_sink);
}

ParsedAction Location::parse(MemberReader& members, const SinkEnvironment& environment) {
  return parse_fields(members, environment, kLocationSpec);
}

Result<std::unique_ptr<Sink>> Location::make_sink(
    std::string_view target, const SinkEnvironment& environment
) {
  return make_aws_sink(target, environment, kLocationSinks, &make_sink);
}

}  // namespace iotcore::rules::actions
