#pragma once

#include "rules/action.h"

// The actions that hand messages on to others in this server.
namespace iotcore::rules::actions {

// sqs(queueUrl*, useBase64): a message in a queue. Built in: queues/message_queues.h, read by SQS's own calls.
struct Sqs {
  static constexpr std::string_view kName = "sqs";
  static constexpr bool kIsAws = true;
  static constexpr SinkDefaults kDefaults = {};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

// iotEvents(inputName*, messageId, batchMode). Built in: published on $iotcore/inputs/<input>; a message id counts once in 10 minutes.
struct IotEvents {
  static constexpr std::string_view kName = "iotEvents";
  static constexpr bool kIsAws = true;
  static constexpr SinkDefaults kDefaults = {.concurrency_max = 1};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

enum SqsField : std::size_t { kQueueUrl, kUseBase64, kSqsFieldCount };

enum IotEventsField : std::size_t {
  kInputName,
  kMessageId,
  kEventsBatchMode,
  kIotEventsFieldCount
};

}  // namespace iotcore::rules::actions
