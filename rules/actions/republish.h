#pragma once

#include "rules/action.h"
#include "rules/targets.h"

#include <memory>

namespace iotcore::rules::actions {

// republish(topic*, qos, headers): a publish in this server, or at another broker where a target of kind `mqtt` matches the topic. In this server it is
// done on the worker, in the commit of the message that fired it; its sink is then for errorActions, whose time comes later, and for topics with ${…}
// where targets match some.
struct Republish {
  static constexpr std::string_view kName = "republish";
  static constexpr bool kIsAws = true;
  static constexpr SinkDefaults kDefaults = {};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

// The fields of its records.
enum RepublishField : std::size_t {
  kRepublishTopic,
  kRepublishQos,
  kRepublishProperties,  // of MQTT 5, encoded
  kRepublishExpiry,      // seconds; may be empty
  kRepublishFieldCount
};

// At the other broker that the target is.
Result<std::unique_ptr<Sink>> make_bound_republish(
    const TargetRef& target, const SinkEnvironment& environment
);

}  // namespace iotcore::rules::actions
