#include "rules/actions/streams.h"

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/ids.h"
#include "rules/actions/aws_messages.h"
#include "rules/actions/aws_service.h"
#include "rules/actions/aws_sinks.h"
#include "rules/actions/fields_action.h"
#include "rules/actions/line_log.h"
#include "rules/actions/message_targets.h"
#include "rules/actions/post_targets.h"
#include "rules/actions/syslog_sink.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace iotcore::rules::actions {
namespace {

constexpr std::string_view kOn = "true";

template <LineLogSink::Format kFormat>
Result<std::unique_ptr<Sink>> make_log(const SinkEnvironment& environment) {
  return std::make_unique<LineLogSink>(environment.folder, kFormat, clock_of(environment));
}

// A member for what went out, whatever it is: JSON as it is, other bytes in base64.
void append_data(std::string& out, const Record& record) {
  if (record.is_json) {
    out += "\"data\":";
    append_line(out, record.payload);
    out.pop_back();
  } else {
    out += "\"base64Data\":";
    append_json_string(out, to_base64(record.payload));
  }
}

// The elements of the result in batch mode; one, the result itself, if it is no list. Nothing: there are too many.
std::optional<json::array> elements_of(const json::value& result, std::size_t most) {
  if (!result.is_array()) {
    return json::array{result};
  }
  return result.get_array().size() > most ? std::nullopt : std::optional(result.get_array());
}

// kinesis

constexpr std::uint64_t kShards = 4;

constexpr auto kKinesisFields = std::to_array<FieldSpec>({
    {.member = "streamName", .check = check_resource_name},
    {.member = "partitionKey", .presence = Presence::kOptional},
});
static_assert(kKinesisFields.size() == kKinesisFieldCount);

constexpr ActionSpec kKinesisSpec = {
    .kind = Kinesis::kName, .fields = kKinesisFields, .name = kStream, .order_by = kPartitionKey};

Outcome format_stream(const Record& record, WallTime now, LineLogSink::Lines& lines) {
  if (record.fields.size() != kKinesisFieldCount) {
    return Outcome::permanent("not a record of this kind");
  }
  // Without a key each record is a partition of its own.
  const std::string& key =
      record.fields[kPartitionKey].empty() ? record.delivery_id : record.fields[kPartitionKey];
  lines.file = fmt::format(
      "streams/{}/{}/{}.jsonl", record.fields[kStream], stable_hash(key) % kShards, date_of(now)
  );
  lines.text = "{\"partitionKey\":";
  append_json_string(lines.text, key);
  lines.text +=
      fmt::format(",\"approximateArrivalTimestamp\":{},\"deliveryId\":", record.received_ms);
  append_json_string(lines.text, record.delivery_id);
  lines.text += ',';
  append_data(lines.text, record);
  lines.text += "}\n";
  return {};
}

Result<RoutedMessage> route_of_stream(const Record& record) {
  if (record.fields.size() != kKinesisFieldCount) {
    return fail(Errc::kInvalidRequest, "not a record of this kind");
  }
  return RoutedMessage{record.fields[kStream], record.fields[kPartitionKey]};
}

Result<json::object> entry_of_stream(const Record& record, const std::string& /*id*/) {
  constexpr std::size_t kDataBytesMax = 1U << 20;
  if (record.fields.size() != kKinesisFieldCount || record.payload.size() > kDataBytesMax) {
    return fail(Errc::kInvalidRequest, "not a record of this kind, or larger than 1 MiB");
  }
  const std::string& key = record.fields[kPartitionKey];
  return json::object{
      {"Data", to_base64(record.payload)},
      {"PartitionKey", key.empty() ? record.delivery_id : key}};
}

constexpr AwsService kKinesisService = {
    .name = "kinesis",
    .operation = "Kinesis_20131202.PutRecords",
    .version = "1.1",
    .entries_max = 500,
    .bytes_max = 4U << 20,
    .destination = "StreamName",
    .entries = "Records",
    .results = "Records",
    .destination_of = &field_of<kStream>,
    .entry_of = &entry_of_stream};

Result<std::unique_ptr<Sink>> make_bound_stream(
    const TargetRef& target, const SinkEnvironment& environment
) {
  if (target->kind == "aws") {
    return make_aws_service_sink(kKinesisService, target, environment);
  }
  return make_message_sink(Kinesis::kName, target, environment, &route_of_stream);
}

constexpr AwsSinks kKinesisSinks = {
    Kinesis::kName, &field_of<kStream>, &make_log<&format_stream>, &make_bound_stream};

// cloudwatchLogs

constexpr auto kLogsFields = std::to_array<FieldSpec>({
    {.member = "logGroupName", .check = check_resource_name},
    {.member = "batchMode", .kind = FieldKind::kBoolean, .presence = Presence::kOptional},
});
static_assert(kLogsFields.size() == kCloudwatchLogsFieldCount);

constexpr ActionSpec kLogsSpec = {
    .kind = CloudwatchLogs::kName, .fields = kLogsFields, .name = kLogGroup};

// AWS's limit of one PutLogEvents.
constexpr std::size_t kEventsMax = 10'000;

void append_event(std::string& out, const json::value& event, std::int64_t received_ms) {
  const json::object* object = event.if_object();
  const json::value* time = object == nullptr ? nullptr : find_member(*object, "timestamp");
  const json::value* message = object == nullptr ? nullptr : find_member(*object, "message");
  const bool is_event = time != nullptr && time->is_number() && message != nullptr;
  out += "{\"timestamp\":";
  out += is_event ? to_json(*time) : fmt::to_string(received_ms);
  out += ",\"message\":";
  append_json(out, is_event ? *message : event);
  out += "}\n";
}

Outcome format_log(const Record& record, WallTime now, LineLogSink::Lines& lines) {
  if (record.fields.size() != kCloudwatchLogsFieldCount) {
    return Outcome::permanent("not a record of this kind");
  }
  std::string_view group = record.fields[kLogGroup];
  group.remove_prefix(group.starts_with('/') ? 1 : 0);
  lines.file = fmt::format("logs/{}/{}.log", group, date_of(now));
  if (record.is_json && record.fields[kLogBatchMode] == kOn) {
    const Result<json::value> result = parse_json(record.payload);
    const auto events = result ? elements_of(*result, kEventsMax) : std::nullopt;
    if (!events) {
      return Outcome::permanent("more than 10,000 events in one batch");
    }
    for (const json::value& event : *events) {
      append_event(lines.text, event, record.received_ms);
    }
    return {};
  }
  lines.text = fmt::format("{{\"timestamp\":{},", record.received_ms);
  if (record.is_json) {
    lines.text += "\"message\":";
    append_line(lines.text, record.payload);
    lines.text.pop_back();
  } else {
    append_data(lines.text, record);
  }
  lines.text += "}\n";
  return {};
}

Result<std::unique_ptr<Sink>> make_bound_log(
    const TargetRef& target, const SinkEnvironment& environment
) {
  if (target->kind == "loki") {
    return make_loki(target, environment);
  }
  if (target->kind == "syslog") {
    return make_syslog(target, environment);
  }
  return make_aws_log(target, environment);
}

constexpr AwsSinks kLogsSinks = {
    CloudwatchLogs::kName, &field_of<kLogGroup>, &make_log<&format_log>, &make_bound_log};

// iotAnalytics

constexpr auto kAnalyticsFields = std::to_array<FieldSpec>({
    {.member = "channelName", .presence = Presence::kOptional, .check = check_resource_name},
    {.member = "channelArn", .kind = FieldKind::kText, .presence = Presence::kOptional},
    {.member = "batchMode", .kind = FieldKind::kBoolean, .presence = Presence::kOptional},
});
static_assert(kAnalyticsFields.size() == kIotAnalyticsFieldCount);

std::string_view channel_of(const Action::Fields& fields) {
  if (!fields[kChannelName].empty()) {
    return fields[kChannelName];
  }
  const std::string_view arn = fields[kChannelArn];
  return arn.substr(arn.rfind('/') + 1);
}

Status check_channel(const Action::Fields& fields) {
  return check_resource_name(channel_of(fields));
}

constexpr ActionSpec kAnalyticsSpec = {
    .kind = IotAnalytics::kName,
    .fields = kAnalyticsFields,
    .name = kChannelName,
    .needs_json = true,
    .check = check_channel};

Outcome format_channel(const Record& record, WallTime now, LineLogSink::Lines& lines) {
  constexpr std::size_t kMessagesMax = 100;
  if (record.fields.size() != kIotAnalyticsFieldCount) {
    return Outcome::permanent("not a record of this kind");
  }
  lines.file = fmt::format("channels/{}/{}.jsonl", channel_of(record.fields), date_of(now));
  if (record.fields[kChannelBatchMode] != kOn) {
    append_line(lines.text, record.payload);
    return {};
  }
  const Result<json::value> result = parse_json(record.payload);
  const auto messages = result ? elements_of(*result, kMessagesMax) : std::nullopt;
  if (!messages) {
    return Outcome::permanent("more than 100 messages in one batch");
  }
  for (const json::value& message : *messages) {
    append_json(lines.text, message);
    lines.text += '\n';
  }
  return {};
}

Result<RoutedMessage> route_of_channel(const Record& record) {
  if (record.fields.size() != kIotAnalyticsFieldCount) {
    return fail(Errc::kInvalidRequest, "not a record of this kind");
  }
  return RoutedMessage{std::string(channel_of(record.fields)), {}};
}

Result<std::unique_ptr<Sink>> make_bound_channel(
    const TargetRef& target, const SinkEnvironment& environment
) {
  if (target->kind == "s3") {
    return make_s3_objects(target, environment, &route_of_channel);
  }
  return make_message_sink(IotAnalytics::kName, target, environment, &route_of_channel);
}

constexpr AwsSinks kAnalyticsSinks = {
    IotAnalytics::kName, &field_of<kChannelName>, &make_log<&format_channel>, &make_bound_channel};

}  // namespace

Result<std::vector<LogEvent>> log_events_of(const Record& record) {
  if (record.fields.size() != kCloudwatchLogsFieldCount) {
    return fail(Errc::kInvalidRequest, "not a record of this kind");
  }
  if (!record.is_json || record.fields[kLogBatchMode] != kOn) {
    const bool is_text = record.is_json || is_valid_utf8(record.payload);
    return std::vector<LogEvent>{
        {record.received_ms, is_text ? record.payload : to_base64(record.payload)}};
  }
  IOTCORE_ASSIGN(const json::value result, parse_json(record.payload));
  const auto elements = elements_of(result, kEventsMax);
  if (!elements) {
    return fail(Errc::kInvalidRequest, "more than 10,000 events in one batch");
  }
  std::vector<LogEvent> events;
  for (const json::value& element : *elements) {
    const json::object* object = element.if_object();
    const json::value* time = object == nullptr ? nullptr : find_member(*object, "timestamp");
    const json::value* message = object == nullptr ? nullptr : find_member(*object, "message");
    const bool is_event = time != nullptr && time->is_int64() && message != nullptr;
    const json::value& shown = is_event ? *message : element;
    events.push_back(
        {is_event ? time->get_int64() : record.received_ms,
         shown.is_string() ? std::string(shown.get_string()) : to_json(shown)}
    );
  }
  std::ranges::stable_sort(events, {}, &LogEvent::time_ms);
  return events;
}

ParsedAction Kinesis::parse(MemberReader& members, const SinkEnvironment& environment) {
  return parse_fields(members, environment, kKinesisSpec);
}

Result<std::unique_ptr<Sink>> Kinesis::make_sink(
    std::string_view target, const SinkEnvironment& environment
) {
  return make_aws_sink(target, environment, kKinesisSinks, &make_sink);
}

ParsedAction CloudwatchLogs::parse(MemberReader& members, const SinkEnvironment& environment) {
  return parse_fields(members, environment, kLogsSpec);
}

Result<std::unique_ptr<Sink>> CloudwatchLogs::make_sink(
    std::string_view target, const SinkEnvironment& environment
) {
  return make_aws_sink(target, environment, kLogsSinks, &make_sink);
}

ParsedAction IotAnalytics::parse(MemberReader& members, const SinkEnvironment& environment) {
  if (members.has("channelName") == members.has("channelArn")) {
    members.fail_at(members.pointer(), "needs one of channelName and channelArn");
  }
  return parse_fields(members, environment, kAnalyticsSpec);
}

Result<std::unique_ptr<Sink>> IotAnalytics::make_sink(
    std::string_view target, const SinkEnvironment& environment
) {
  return make_aws_sink(target, environment, kAnalyticsSinks, &make_sink);
}

}  // namespace iotcore::rules::actions
