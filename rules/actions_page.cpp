#include "rules/actions_page.h"

#include "rules/action.h"
#include "rules/member_reader.h"
#include "rules/targets.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace iotcore::rules {
namespace {

constexpr std::string_view kHead = R"(
## Actions

For each kind the least that it takes, and all members that its parser reads; AWS's have `roleArn` besides. What they mean, and the members of objects and lists, is in [actions](actions.md) for AWS's and in
[sinks](sinks.md) for ours. In JSON AWS's are written as AWS has them, `{"s3": {…}}`, and ours as `{"iotcore": {"type": "postgres", …}}`; in rule files all are `DO s3(…)`.

| action | | the least | members |
| --- | --- | --- | --- |
)";

struct Example {
  std::string_view kind;
  std::string_view members;
};

constexpr auto kExamples = std::to_array<Example>({
    {"amqp", R"({"target": "t", "routingKey": "alerts"})"},
    {"cloudwatchAlarm", R"({"alarmName": "hot", "stateReason": "${temp}", "stateValue": "ALARM"})"},
    {"cloudwatchLogs", R"({"logGroupName": "plant"})"},
    {"cloudwatchMetric",
     R"({"metricNamespace": "Plant", "metricName": "temp", "metricValue": "${temp}", "metricUnit": "None"})"},
    {"dynamoDB", R"({"tableName": "t", "hashKeyField": "machine", "hashKeyValue": "${topic(2)}"})"},
    {"dynamoDBv2", R"({"putItem": {"tableName": "t"}})"},
    {"elasticsearch",
     R"({"endpoint": "https://search.local", "index": "i", "type": "_doc", "id": "${newuuid()}"})"},
    {"file", R"({"path": "plant.jsonl"})"},
    {"firehose", R"({"deliveryStreamName": "all"})"},
    {"http", R"({"url": "https://hooks.example.com/in"})"},
    {"influxDB",
     R"({"destinationArn": "arn:aws:iot:us-east-1:123456789012:ruledestination/influxdb/x", "databaseName": "plant", "tableName": "t"})"},
    {"iotAnalytics", R"({"channelName": "raw"})"},
    {"iotEvents", R"({"inputName": "machines"})"},
    {"iotSiteWise",
     R"({"putAssetPropertyValueEntries": [{"propertyAlias": "/temp", "propertyValues": [{"timestamp": {"timeInSeconds": "${t}"}, "value": {"doubleValue": "${temp}"}}]}]})"},
    {"kafka",
     R"({"destinationArn": "local", "topic": "t", "clientProperties": {"bootstrap.servers": "k1:9092"}})"},
    {"kinesis", R"({"streamName": "s"})"},
    {"lambda", R"({"functionArn": "arn:aws:lambda:us-east-1:123456789012:function:decode"})"},
    {"location",
     R"({"trackerName": "fleet", "deviceId": "${topic(2)}", "latitude": "${lat}", "longitude": "${lon}"})"},
    {"log", "{}"},
    {"mqtt", R"({"target": "t", "topic": "${topic()}"})"},
    {"nats", R"({"target": "t", "subject": "plant"})"},
    {"openSearch",
     R"({"endpoint": "https://search.local", "index": "i", "type": "_doc", "id": "${newuuid()}"})"},
    {"postgres", R"({"target": "t", "table": "readings"})"},
    {"redis", R"({"target": "t", "key": "k"})"},
    {"republish", R"({"topic": "alerts/${topic(2)}"})"},
    {"s3", R"({"bucketName": "lake", "key": "${topic()}/${timestamp()}"})"},
    {"salesforce",
     R"({"token": "x", "url": "https://ingestion-a.salesforce.com/streams/a/b/event"})"},
    {"smtp", R"({"target": "t", "to": "ops@example.com", "subject": "hot"})"},
    {"sns", R"({"targetArn": "arn:aws:sns:us-east-1:123456789012:alerts"})"},
    {"sqlite", R"({"file": "plant.db", "table": "readings"})"},
    {"sqs", R"({"queueUrl": "https://sqs.us-east-1.amazonaws.com/123456789012/jobs"})"},
    {"stepFunctions", R"({"stateMachineName": "repair"})"},
    {"timestream",
     R"({"databaseName": "plant", "tableName": "t", "dimensions": [{"name": "machine", "value": "${topic(2)}"}]})"},
    {"webhook", R"({"url": "https://hooks.example.com/in"})"},
});

static_assert(std::ranges::is_sorted(kExamples, {}, &Example::kind), "in the order of names");

tl::unexpected<Error> wrong(std::string_view kind, std::string_view why) {
  return fail(Errc::kInternal, fmt::format("the example of {}: {}", kind, why));
}

// What a parser says of a member that it does not know is all that it knows.
Result<std::string> members_read(const ActionKind& kind, const json::object& example) {
  constexpr std::string_view kNobodys = "a member that nobody knows of";
  constexpr std::string_view kList = "there are ";
  Targets targets;
  if (const json::value* target = find_member(example, "target"); target != nullptr) {
    IOTCORE_TRY(targets.replace("", {{"t", std::string(kind.name), {}, "", ""}}));
  }
  SinkEnvironment environment;
  environment.targets = &targets;
  IOTCORE_ASSIGN(
      const sql::Program program,
      sql::compile("SELECT * FROM 'plant/+/telemetry'", sql::Version::k2016_03_23)
  );
  for (const bool is_asked : {false, true}) {
    json::object members = example;
    if (is_asked) {
      members[kNobodys] = true;
    }
    MemberReader reader(members, "", &program);
    const ParsedAction parsed = kind.parse(reader, environment);
    reader.ignore("roleArn");
    const std::optional<DefinitionError> error = reader.finish();
    const std::string message = !parsed && parsed.error().message.size() > 0
                                    ? parsed.error().message
                                : error ? error->message
                                        : std::string();
    if (!is_asked && !message.empty()) {
      return wrong(kind.name, message);
    }
    if (const std::size_t list = message.find(kList); list != std::string::npos) {
      return message.substr(list + kList.size());
    }
  }
  return wrong(kind.name, "takes any member");
}

std::string in_code(std::string_view list) {
  std::vector<std::string_view> names;
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(", "), list.size());
    names.push_back(list.substr(0, end));
    list.remove_prefix(std::min(end + 2, list.size()));
  }
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  std::erase(names, "roleArn");
  std::string text;
  for (const std::string_view name : names) {
    text += fmt::format("{}`{}`", text.empty() ? "" : ", ", name);
  }
  return text;
}

}  // namespace

Result<std::string> actions_page() {
  std::string page(kHead);
  for (const Example& example : kExamples) {
    const ActionKind* kind = find_action_kind(example.kind);
    if (kind == nullptr) {
      return wrong(example.kind, "there is no such action");
    }
    IOTCORE_ASSIGN(const json::value members, parse_json(example.members));
    IOTCORE_ASSIGN(const std::string read, members_read(*kind, members.as_object()));
    page += fmt::format(
        "| `{}` | {} | `{}` | {} |\n",
        kind->name,
        kind->is_aws ? "AWS's" : "ours",
        example.members,
        in_code(read)
    );
  }
  const std::string all = action_kind_names();
  const auto kinds = static_cast<std::size_t>(std::ranges::count(all, ',')) + 2;
  return kinds == kExamples.size() ? Result<std::string>(std::move(page))
                                   : wrong("all actions", "one of them has none");
}

}  // namespace iotcore::rules
