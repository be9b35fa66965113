#pragma once

#include "rules/action.h"

namespace iotcore::rules::actions {

// log(level): one line in the server's log for each result, for trying rules. Never durable.
struct Log {
  static constexpr std::string_view kName = "log";
  static constexpr bool kIsAws = false;
  static constexpr SinkDefaults kDefaults = {.concurrency_max = 1};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

}  // namespace iotcore::rules::actions
