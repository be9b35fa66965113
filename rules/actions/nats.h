#pragma once

#include "rules/action.h"

namespace iotcore::rules::actions {

// nats(target*, subject*, headers, jetstream): results published to NATS, or to a stream of JetStream. subject and the values of headers may have ${…}.
// What is acknowledged when: nats_sink.h.
struct Nats {
  static constexpr std::string_view kName = "nats";
  static constexpr bool kIsAws = false;
  static constexpr SinkDefaults kDefaults = {.batch_size = 500, .batch_bytes = 4U << 20};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

}  // namespace iotcore::rules::actions
