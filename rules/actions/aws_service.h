#pragma once

#include "base/json.h"
#include "rules/sink.h"
#include "rules/targets.h"

#include <memory>
#include <string>
#include <string_view>

namespace iotcore::rules::actions {

// A service of AWS's that takes batches, in its JSON protocol.
struct AwsService {
  std::string_view name;       // in the endpoint and in signatures: "sqs"
  std::string_view operation;  // "AmazonSQS.SendMessageBatch"
  std::string_view version;    // of the protocol: "1.0"
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
