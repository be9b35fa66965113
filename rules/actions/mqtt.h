#pragma once

#include "rules/action.h"

namespace iotcore::rules::actions {

// mqtt(target*, topic*, qos 0|1|2, retain): results published to another broker, the bridge.
//
// topic may have ${…}. The session stays over reconnects: what had been sent at QoS 2 when the connection broke is brought to its end and not sent again.
// With MQTT 5 the user property deliveryId tells repetitions after a crash of ours.
struct Mqtt {
  static constexpr std::string_view kName = "mqtt";
  static constexpr bool kIsAws = false;
  static constexpr SinkDefaults kDefaults = {.batch_size = 500, .batch_bytes = 1U << 20};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

}  // namespace iotcore::rules::actions
