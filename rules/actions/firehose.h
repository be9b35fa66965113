#pragma once

#include "rules/action.h"

namespace iotcore::rules::actions {

// firehose(deliveryStreamName*, separator, batchMode): records one behind the other in files. Built in: firehose/<stream>/YYYY/MM/DD/HH/…, one file for what
// a queue's batch has for the stream: 5 MiB, or what came in 300 s. A file appears when it is complete; until then its records are in the outbox.
struct Firehose {
  static constexpr std::string_view kName = "firehose";
  static constexpr bool kIsAws = true;
  static constexpr SinkDefaults kDefaults = {
      .batch_size = 100'000,
      .batch_bytes = 5U << 20,
      .linger = std::chrono::seconds(300),
      .concurrency_max = 1};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

enum FirehoseField : std::size_t {
  kDeliveryStream,
  kSeparator,
  kFirehoseBatchMode,
  kFirehoseFieldCount
};

// What a record adds to its stream: its payload, or each element of it in batch mode, each with the separator behind it. Permanent: too many elements.
Outcome append_firehose_data(std::string& out, const Record& record);

}  // namespace iotcore::rules::actions
