#pragma once

#include "rules/action.h"

namespace iotcore::rules::actions {

// amqp(target*, exchange, routingKey*, persistent, mandatory, headers): results published over AMQP 0-9-1, each confirmed by the broker.
//
// exchange (empty: the default one, whose routing keys are names of queues), routingKey and the values of headers may have ${…}. mandatory (true): a
// message that no queue takes fails.
struct Amqp {
  static constexpr std::string_view kName = "amqp";
  static constexpr bool kIsAws = false;
  // What is sent before the broker's confirmations are looked at should fit into a socket's buffer.
  static constexpr SinkDefaults kDefaults = {.batch_size = 200, .batch_bytes = 256U << 10};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

}  // namespace iotcore::rules::actions
