#pragma once

#include "rules/action.h"

namespace iotcore::rules::actions {

// AWS's kafka(destinationArn*, topic*, key, partition, headers, clientProperties*), and with target instead of clientProperties our own way to say it once.
//
// clientProperties are those of Kafka's Java client, as AWS takes them; their values may have ${…}, which are evaluated with the rule and kept with the
// record, without their secrets. acks is "all" unless they say otherwise, with an idempotent producer, so that retries neither repeat nor reorder. The header deliveryId tells
// repetitions after a crash.
struct Kafka {
  static constexpr std::string_view kName = "kafka";
  static constexpr bool kIsAws = true;
  static constexpr SinkDefaults kDefaults = {.batch_size = 500, .batch_bytes = 4U << 20};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

}  // namespace iotcore::rules::actions
