#pragma once

#include "rules/action.h"

namespace iotcore::rules::actions {

// stepFunctions(stateMachineName*, executionNamePrefix): starts an execution: the local function of that name gets {"name": …, "input": the result}, or a
// target of kind stepFunctions or aws gets StartExecution. The name is the prefix and a UUID, the same at each attempt.
struct StepFunctions {
  static constexpr std::string_view kName = "stepFunctions";
  static constexpr bool kIsAws = true;
  static constexpr SinkDefaults kDefaults = {.batch_size = 16};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

}  // namespace iotcore::rules::actions
