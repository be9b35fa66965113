#pragma once

#include "rules/action.h"

namespace iotcore::rules::actions {

// smtp(target*, to*, subject*, body, throttle): a mail for each result. to (addresses with commas), subject and body may have ${…}; without body the
// payload is it. throttle: of mails to the same receivers with the same subject, those that come sooner after the last are left out.
struct Smtp {
  static constexpr std::string_view kName = "smtp";
  static constexpr bool kIsAws = false;
  static constexpr SinkDefaults kDefaults = {.batch_size = 20};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

}  // namespace iotcore::rules::actions
