#pragma once

#include "rules/action.h"

namespace iotcore::rules::actions {

// republish(topic*, qos, headers): a publish in this server. As an action of a rule it is done on the worker, in the commit of the message
// that fired it; its sink is for errorActions, whose time comes later.
struct Republish {
  static constexpr std::string_view kName = "republish";
  static constexpr bool kIsAws = true;
  static constexpr SinkDefaults kDefaults = {};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

}  // namespace iotcore::rules::actions
