#pragma once

#include "rules/actions/signing_options.h"
#include "rules/actions/target_options.h"
#include "rules/sink.h"
#include "rules/targets.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

// AWS itself behind an action: a target of kind `aws`.
namespace iotcore::rules::actions {

// Keys, region, and `endpoint`: of others that speak as AWS does; without it the region's own.
struct AwsOptions {
  SigningOptions signing;
  std::optional<HttpOptions> http;
};

AwsOptions read_aws(MemberReader& members);

// A service that takes batches, in AWS's JSON protocol.
struct AwsService {
  std::string_view name;       // in the endpoint and in signatures: "sqs"
  std::string_view operation;  // "AmazonSQS.SendMessageBatch"
  std::string_view content_type;
  std::size_t entries_max;
  std::size_t bytes_max;
  std::string_view destination;  // member of the request: "QueueUrl"
  std::string_view entries;      // "Entries"
  std::string_view
      results;  // of the answer, an entry each in their order; empty: `Failed`, by their `Id`
  // Where a record goes.
  std::string_view (*destination_of)(const Record& record);
  // A record as an entry; `id` is its own in the request. An error is permanent.
  Result<json::object> (*entry_of)(const Record& record, const std::string& id);
};

// `service` outlives the sink: a constant. `kind` is the action's.
Result<std::unique_ptr<Sink>> make_aws_service_sink(
    const AwsService& service, const TargetRef& target, const SinkEnvironment& environment
);

}  // namespace iotcore::rules::actions
