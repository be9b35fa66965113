#include "rules/destinations_api.h"

#include "registry/list_token.h"

#include <algorithm>
#include <iterator>

namespace iotcore::rules {
namespace {

constexpr std::size_t kPageDefault = 100;
constexpr std::string_view kTokenKind = "destinations";

void show_vpc(const record::RuleDestination& from, api::VpcDestinationProperties& to) {
  *to.mutable_subnet_ids() = from.subnet_ids();
  *to.mutable_security_groups() = from.security_groups();
  to.set_vpc_id(from.vpc_id());
  to.set_role_arn(from.role_arn());
}

void show_influx(const record::RuleDestination& from, api::InfluxDbDestinationProperties& to) {
  to.set_endpoint(from.endpoint());
  to.set_influx_db_version(from.influx_version());
  to.set_secret_id(from.secret_id());
  if (!from.secret_type().empty()) {
    to.set_secret_type(from.secret_type());
  }
  if (!from.secret_key().empty()) {
    to.set_secret_key(from.secret_key());
  }
}

record::RuleDestination destination_of(const api::TopicRuleDestinationConfiguration& given) {
  record::RuleDestination destination;
  if (given.has_http_url_configuration()) {
    destination.set_kind("http");
    destination.set_confirmation_url(given.http_url_configuration().confirmation_url());
  } else if (given.has_influx_db_configuration()) {
    const api::InfluxDbDestinationConfiguration& influx = given.influx_db_configuration();
    destination.set_kind("influxdb");
    destination.set_endpoint(influx.endpoint());
    destination.set_influx_version(influx.influx_db_version());
    destination.set_secret_id(influx.secret_id());
    destination.set_secret_type(influx.secret_type());
    destination.set_secret_key(influx.secret_key());
  } else {
    const api::VpcDestinationConfiguration& vpc = given.vpc_configuration();
    destination.set_kind("vpc");
    *destination.mutable_subnet_ids() = vpc.subnet_ids();
    *destination.mutable_security_groups() = vpc.security_groups();
    destination.set_vpc_id(vpc.vpc_id());
    destination.set_role_arn(vpc.role_arn());
  }
  return destination;
}

// What a destination and its summary have in common.
template <typename Shown>
void show(const Destinations& destinations, const record::RuleDestination& from, Shown& to) {
  to.set_arn(destinations.arn_of(from));
  to.set_status(from.status());
  to.set_created_at(from.created_ms());
  to.set_last_updated_at(from.updated_ms());
  if (!from.status_reason().empty()) {
    to.set_status_reason(from.status_reason());
  }
}

void show_whole(
    const Destinations& destinations,
    const record::RuleDestination& from,
    api::TopicRuleDestination& to
) {
  show(destinations, from, to);
  if (from.kind() == "http") {
    to.mutable_http_url_properties()->set_confirmation_url(from.confirmation_url());
  } else if (from.kind() == "influxdb") {
    show_influx(from, *to.mutable_influx_db_properties());
  } else {
    show_vpc(from, *to.mutable_vpc_properties());
  }
}

}  // namespace

Result<api::CreateTopicRuleDestinationResponse> create_topic_rule_destination(
    Engine& engine, const api::CreateTopicRuleDestinationRequest& request
) {
  const api::TopicRuleDestinationConfiguration& given = request.destination_configuration();
  const int kinds = static_cast<int>(given.has_http_url_configuration()) +
                    static_cast<int>(given.has_vpc_configuration()) +
                    static_cast<int>(given.has_influx_db_configuration());
  if (kinds != 1) {
    return fail(
        Errc::kInvalidRequest,
        "destinationConfiguration needs one of httpUrlConfiguration, vpcConfiguration and "
        "influxDBConfiguration"
    );
  }
  Destinations& destinations = engine.built_ins().destinations;
  IOTCORE_ASSIGN(const record::RuleDestination made, destinations.create(destination_of(given)));
  api::CreateTopicRuleDestinationResponse response;
  show_whole(destinations, made, *response.mutable_topic_rule_destination());
  return response;
}

Result<api::GetTopicRuleDestinationResponse> get_topic_rule_destination(
    Engine& engine, const api::GetTopicRuleDestinationRequest& request
) {
  Destinations& destinations = engine.built_ins().destinations;
  IOTCORE_ASSIGN(const record::RuleDestination found, destinations.get(request.arn()));
  api::GetTopicRuleDestinationResponse response;
  show_whole(destinations, found, *response.mutable_topic_rule_destination());
  return response;
}

Result<api::ListTopicRuleDestinationsResponse> list_topic_rule_destinations(
    Engine& engine, const api::ListTopicRuleDestinationsRequest& request
) {
  std::string after;
  if (request.has_next_token()) {
    IOTCORE_ASSIGN(after, registry::name_in_token(kTokenKind, request.next_token()));
  }
  constexpr int kPageMax = 1000;
  if (request.has_max_results() &&
      (request.max_results() < 1 || request.max_results() > kPageMax)) {
    return fail(Errc::kInvalidRequest, "maxResults must be 1 to 1000");
  }
  const std::size_t size =
      request.has_max_results() ? static_cast<std::size_t>(request.max_results()) : kPageDefault;
  Destinations& destinations = engine.built_ins().destinations;
  std::vector<record::RuleDestination> found = destinations.list(after, size + 1);
  api::ListTopicRuleDestinationsResponse response;
  if (found.size() > size) {
    found.resize(size);
    response.set_next_token(registry::list_token(kTokenKind, found.back().id()));
  }
  for (const record::RuleDestination& one : found) {
    api::TopicRuleDestinationSummary& shown = *response.add_destination_summaries();
    show(destinations, one, shown);
    if (one.kind() == "http") {
      shown.mutable_http_url_summary()->set_confirmation_url(one.confirmation_url());
    } else if (one.kind() == "influxdb") {
      show_influx(one, *shown.mutable_influx_db_summary());
    } else {
      show_vpc(one, *shown.mutable_vpc_destination_summary());
    }
  }
  return response;
}

Result<api::UpdateTopicRuleDestinationResponse> update_topic_rule_destination(
    Engine& engine, const api::UpdateTopicRuleDestinationRequest& request
) {
  constexpr std::string_view kStatuses[] = {
      "ENABLED", "DISABLED", "IN_PROGRESS", "ERROR", "DELETING"};
  if (std::ranges::find(kStatuses, request.status()) == std::end(kStatuses)) {
    return fail(
        Errc::kInvalidRequest,
        "status is ENABLED, DISABLED or IN_PROGRESS, not '" + request.status() + "'"
    );
  }
  IOTCORE_TRY(engine.built_ins().destinations.update(request.arn(), request.status()));
  return api::UpdateTopicRuleDestinationResponse();
}

Result<api::DeleteTopicRuleDestinationResponse> delete_topic_rule_destination(
    Engine& engine, const api::DeleteTopicRuleDestinationRequest& request
) {
  IOTCORE_TRY(engine.built_ins().destinations.remove(request.arn()));
  return api::DeleteTopicRuleDestinationResponse();
}

Result<api::ConfirmTopicRuleDestinationResponse> confirm_topic_rule_destination(
    Engine& engine, const api::ConfirmTopicRuleDestinationRequest& request
) {
  constexpr std::size_t kTokenBytesMax = 2048;
  if (request.confirmation_token().empty() ||
      request.confirmation_token().size() > kTokenBytesMax) {
    return fail(Errc::kInvalidRequest, "confirmationToken has 1 to 2048 characters");
  }
  IOTCORE_TRY(engine.built_ins().destinations.confirm(request.confirmation_token()));
  return api::ConfirmTopicRuleDestinationResponse();
}

}  // namespace iotcore::rules
