#pragma once

#include "base/json.h"
#include "rules/actions/aws_connection.h"
#include "rules/sink.h"
#include "rules/targets.h"

#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace iotcore::rules::actions {

// A service of AWS's that is called once for each record: constants.
struct AwsApi {
  AwsEndpoint endpoint;
  // An error is permanent.
  Result<net::HttpRequest> (*request_of)(const Record& record);
  // The member of an answer with status 200 that lists what was refused all the same; empty: there is none.
  std::string_view refusals = {};
  // What may mend a refusal: sent once, and the first request once more. Nothing: it stands.
  std::optional<net::HttpRequest> (*remedy_of
  )(const Record& record, std::string_view refusal) = nullptr;
};

// `api` outlives the sink. The target is one of kind `aws`: what else is kNotImplemented, for `kind`, the action's.
Result<std::unique_ptr<Sink>> make_aws_call_sink(
    std::string_view kind,
    const AwsApi& api,
    const TargetRef& target,
    const SinkEnvironment& environment
);

// A request of AWS's query protocol; empty values are left out.
net::HttpRequest aws_query_request(
    std::initializer_list<std::pair<std::string_view, std::string_view>> parameters
);
// POST of JSON to that path, as AWS's REST protocol has it.
net::HttpRequest aws_rest_request(std::string path, const json::value& body);

// "2026-11-23T16:08:00.250Z"
std::string aws_time(std::int64_t epoch_ms);

}  // namespace iotcore::rules::actions
