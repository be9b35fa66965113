#pragma once

#include "rules/action.h"

namespace iotcore::rules::actions {

// lambda(functionArn*): hands the result, which must be JSON, to a function: the local one of that name, or where a target of kind lambda or aws binds it.
// The function is called asynchronously, as AWS does: nobody waits for what it returns. Where it fails the event is tried twice more, unless the delivery
// options say otherwise; one that cannot be started, or has too much to do, is waited for.
struct Lambda {
  static constexpr std::string_view kName = "lambda";
  static constexpr bool kIsAws = true;
  static constexpr SinkDefaults kDefaults = {.batch_size = 16};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

}  // namespace iotcore::rules::actions
