// The kinds of targets there are: one line each.
#include "rules/actions/amqp_sink.h"
#include "rules/actions/aws_connection.h"
#include "rules/actions/dynamo_db.h"
#include "rules/actions/influx_sink.h"
#include "rules/actions/kafka_settings.h"
#include "rules/actions/mqtt_client.h"
#include "rules/actions/nats_sink.h"
#include "rules/actions/open_search.h"
#include "rules/actions/post_targets.h"
#include "rules/actions/postgres_client.h"
#include "rules/actions/redis_client.h"
#include "rules/actions/s3_endpoint.h"
#include "rules/actions/smtp_client.h"
#include "rules/actions/sns.h"
#include "rules/actions/syslog_sink.h"
#include "rules/actions/target_options.h"
#include "rules/functions/local_functions.h"
#include "rules/functions/remote_function.h"
#include "rules/series/retention.h"
#include "rules/targets.h"

#include <algorithm>
#include <array>

namespace iotcore::rules {
namespace {

using actions::check_with;

constexpr auto kKinds = std::to_array<TargetKind>({
    {"alertmanager", check_with<actions::read_post>},
    {"amqp", check_with<actions::read_amqp>},
    {"aws", check_with<actions::read_aws>},
    {FunctionTarget::kName, FunctionTarget::check},
    {"http", check_with<actions::read_post>},
    {"influx", check_with<actions::read_influx>},
    {"kafka", check_with<actions::read_kafka>},
    {LambdaTarget::kName, LambdaTarget::check},
    {"loki", check_with<actions::read_post>},
    {"mqtt", check_with<actions::read_mqtt>},
    {"nats", check_with<actions::read_nats>},
    {"opensearch", actions::check_open_search},
    {"postgres", check_with<actions::read_postgres>},
    {"redis", check_with<actions::read_redis>},
    {"s3", check_with<actions::read_s3>},
    {SeriesTarget::kName, SeriesTarget::check},
    {"smtp", check_with<actions::read_smtp>},
    {actions::SnsTarget::kName, &actions::SnsTarget::check},
    {StateMachineTarget::kName, StateMachineTarget::check},
    {"syslog", check_with<actions::read_syslog>},
    {actions::TableTarget::kName, &actions::TableTarget::check},
});

static_assert(std::ranges::is_sorted(kKinds, {}, &TargetKind::name), "in the order of names");

}  // namespace

const TargetKind* find_target_kind(std::string_view name) {
  const auto* const found = std::ranges::find(kKinds, name, &TargetKind::name);
  return found == kKinds.end() ? nullptr : found;
}

std::vector<std::string_view> target_kind_names() {
  std::vector<std::string_view> names;
  for (const TargetKind& kind : kKinds) {
    names.push_back(kind.name);
  }
  return names;
}

}  // namespace iotcore::rules
