// The kinds of actions there are: one line each.
#include "rules/action.h"
#include "rules/actions/amqp_action.h"
#include "rules/actions/cloudwatch.h"
#include "rules/actions/dynamo_db.h"
#include "rules/actions/file.h"
#include "rules/actions/firehose.h"
#include "rules/actions/http.h"
#include "rules/actions/influx_db.h"
#include "rules/actions/kafka.h"
#include "rules/actions/lambda.h"
#include "rules/actions/log.h"
#include "rules/actions/measurements.h"
#include "rules/actions/messages.h"
#include "rules/actions/mqtt.h"
#include "rules/actions/nats.h"
#include "rules/actions/open_search.h"
#include "rules/actions/postgres.h"
#include "rules/actions/redis.h"
#include "rules/actions/republish.h"
#include "rules/actions/s3.h"
#include "rules/actions/smtp.h"
#include "rules/actions/sns.h"
#include "rules/actions/sqlite.h"
#include "rules/actions/step_functions.h"
#include "rules/actions/streams.h"

#include <algorithm>
#include <array>
#include <concepts>

namespace iotcore::rules {
namespace {

// What a kind of action brings along.
template <typename Kind>
concept ActionShape =
    requires(MemberReader& members, std::string_view target, const SinkEnvironment& environment) {
  { Kind::kName } -> std::convertible_to<std::string_view>;
  { Kind::kIsAws } -> std::convertible_to<bool>;
  { Kind::kDefaults } -> std::convertible_to<SinkDefaults>;
  { Kind::parse(members, environment) } -> std::same_as<ParsedAction>;
  { Kind::make_sink(target, environment) } -> std::same_as<Result<std::unique_ptr<Sink>>>;
};

template <ActionShape... Kinds>
constexpr auto list_of() {
  return std::array{ActionKind{
      Kinds::kName, Kinds::kIsAws, Kinds::kDefaults, &Kinds::parse, &Kinds::make_sink}...};
}

constexpr auto kKinds = list_of<
    actions::Amqp,              //
    actions::CloudwatchAlarm,   //
    actions::CloudwatchLogs,    //
    actions::CloudwatchMetric,  //
    actions::DynamoDb,          //
    actions::DynamoDbV2,        //
    actions::Elasticsearch,     //
    actions::File,              //
    actions::Firehose,          //
    actions::Http,              //
    actions::InfluxDb,          //
    actions::IotAnalytics,      //
    actions::IotEvents,         //
    actions::IotSiteWise,       //
    actions::Kafka,             //
    actions::Kinesis,           //
    actions::Lambda,            //
    actions::Location,          //
    actions::Log,               //
    actions::Mqtt,              //
    actions::Nats,              //
    actions::OpenSearch,        //
    actions::Postgres,          //
    actions::Redis,             //
    actions::Republish,         //
    actions::S3,                //
    actions::Salesforce,        //
    actions::Smtp,              //
    actions::Sns,               //
    actions::Sqlite,            //
    actions::Sqs,               //
    actions::StepFunctions,     //
    actions::Timestream,        //
    actions::Webhook>();

static_assert(std::ranges::is_sorted(kKinds, {}, &ActionKind::name), "in the order of names");
static_assert(
    std::ranges::adjacent_find(kKinds, {}, &ActionKind::name) == kKinds.end(),
    "two kinds of actions have one name"
);

}  // namespace

const ActionKind* find_action_kind(std::string_view name) {
  const auto* const found = std::ranges::find(kKinds, name, &ActionKind::name);
  return found == kKinds.end() ? nullptr : found;
}

std::string action_kind_names() {
  std::string names;
  for (const ActionKind& kind : kKinds) {
    names += names.empty() ? "" : &kind == &kKinds.back() ? " and " : ", ";
    names += kind.name;
  }
  return names;
}

}  // namespace iotcore::rules
