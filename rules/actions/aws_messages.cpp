#include "rules/actions/aws_messages.h"

#include "base/bytes.h"
#include "base/crypto.h"
#include "rules/actions/aws_calls.h"
#include "rules/actions/cloudwatch.h"
#include "rules/actions/messages.h"
#include "rules/actions/sns.h"
#include "rules/actions/streams.h"

#include <fmt/format.h>

namespace iotcore::rules::actions {
namespace {

constexpr std::string_view kOn = "true";

tl::unexpected<Error> not_of_this_kind() {
  return fail(Errc::kInvalidRequest, "not a record of this kind");
}

Result<net::HttpRequest> request_of_notification(const Record& record) {
  if (record.fields.size() != kSnsFieldCount) {
    return not_of_this_kind();
  }
  if (record.payload.empty() || !is_valid_utf8(record.payload)) {
    return fail(Errc::kInvalidRequest, "the result is not text, which SNS takes alone");
  }
  return aws_query_request({
      {"Action", "Publish"},
      {"Version", "2010-03-31"},
      {"TopicArn", record.fields[kTargetArn]},
      {"Message", record.payload},
      {"MessageStructure", record.fields[kMessageFormat] == "JSON" ? "json" : ""},
  });
}

constexpr AwsApi kTopics = {
    .endpoint = {.host = "sns", .service = "sns"}, .request_of = &request_of_notification};

json::object input_message(
    std::string_view input, const std::string& id, std::string_view payload
) {
  return {{"messageId", id}, {"inputName", input}, {"payload", to_base64(payload)}};
}

// The same at each attempt.
std::string message_id(const Record& record, std::size_t element) {
  constexpr std::size_t kDigits = 32;
  const std::string all = fmt::format("{}:{}", record.delivery_id, element);
  return to_hex(as_text(sha256(all))).substr(0, kDigits);
}

Result<net::HttpRequest> request_of_input(const Record& record) {
  constexpr std::size_t kMessagesMax = 10;
  if (record.fields.size() != kIotEventsFieldCount) {
    return not_of_this_kind();
  }
  const std::string& input = record.fields[kInputName];
  json::array messages;
  if (record.fields[kEventsBatchMode] == kOn) {
    const Result<json::value> list = parse_json(record.payload);
    if (!list || !list->is_array() || list->get_array().size() > kMessagesMax) {
      return fail(Errc::kInvalidRequest, "the result is not a list of at most 10 messages");
    }
    for (const json::value& element : list->get_array()) {
      messages.push_back(input_message(input, message_id(record, messages.size()), to_json(element))
      );
    }
  } else {
    const std::string& given = record.fields[kMessageId];
    messages.push_back(
        input_message(input, given.empty() ? message_id(record, 0) : given, record.payload)
    );
  }
  return aws_rest_request("/inputs/messages", json::object{{"messages", std::move(messages)}});
}

constexpr AwsApi kInputs = {
    .endpoint = {.host = "data.iotevents", .service = "ioteventsdata"},
    .request_of = &request_of_input,
    .refusals = "BatchPutMessageErrorEntries"};

Result<net::HttpRequest> request_of_state(const Record& record) {
  if (record.fields.size() != kCloudwatchAlarmFieldCount) {
    return not_of_this_kind();
  }
  return aws_query_request({
      {"Action", "SetAlarmState"},
      {"Version", "2010-08-01"},
      {"AlarmName", record.fields[kAlarmName]},
      {"StateReason", record.fields[kStateReason]},
      {"StateValue", record.fields[kStateValue]},
  });
}

constexpr AwsApi kAlarms = {
    .endpoint = {.host = "monitoring", .service = "monitoring"}, .request_of = &request_of_state};

constexpr std::string_view kLogStream = "iotcore";

Result<net::HttpRequest> request_of_events(const Record& record) {
  IOTCORE_ASSIGN(const std::vector<LogEvent> events, log_events_of(record));
  json::array list;
  for (const LogEvent& event : events) {
    list.push_back(json::object{{"timestamp", event.time_ms}, {"message", event.message}});
  }
  json::object body;
  body["logGroupName"] = record.fields[kLogGroup];
  body["logStreamName"] = kLogStream;
  body["logEvents"] = std::move(list);
  return aws_json_request("Logs_20140328.PutLogEvents", "1.1", body);
}

std::optional<net::HttpRequest> request_for_stream(const Record& record, std::string_view refusal) {
  if (refusal.find("ResourceNotFound") == std::string_view::npos) {
    return std::nullopt;
  }
  return aws_json_request(
      "Logs_20140328.CreateLogStream",
      "1.1",
      json::object{{"logGroupName", record.fields[kLogGroup]}, {"logStreamName", kLogStream}}
  );
}

constexpr AwsApi kLogs = {
    .endpoint = {.host = "logs", .service = "logs"},
    .request_of = &request_of_events,
    .remedy_of = &request_for_stream};

}  // namespace

Result<std::unique_ptr<Sink>> make_aws_topic(
    const TargetRef& target, const SinkEnvironment& environment
) {
  return make_aws_call_sink(Sns::kName, kTopics, target, environment);
}

Result<std::unique_ptr<Sink>> make_aws_input(
    const TargetRef& target, const SinkEnvironment& environment
) {
  return make_aws_call_sink(IotEvents::kName, kInputs, target, environment);
}

Result<std::unique_ptr<Sink>> make_aws_alarm(
    const TargetRef& target, const SinkEnvironment& environment
) {
  return make_aws_call_sink(CloudwatchAlarm::kName, kAlarms, target, environment);
}

Result<std::unique_ptr<Sink>> make_aws_log(
    const TargetRef& target, const SinkEnvironment& environment
) {
  return make_aws_call_sink(CloudwatchLogs::kName, kLogs, target, environment);
}

}  // namespace iotcore::rules::actions
