#include "rules/actions/aws_sinks.h"

#include "rules/bindings.h"

#include <fmt/format.h>

namespace iotcore::rules::actions {

Result<std::unique_ptr<Sink>> make_aws_sink(
    std::string_view target,
    const SinkEnvironment& environment,
    const AwsSinks& sinks,
    BoundSink::Make make
) {
  if (target == kBuiltInTarget) {
    return sinks.built_in(environment);
  }
  if (target == kBoundByRecord) {
    return std::make_unique<BoundSink>(sinks.kind, sinks.name_of, make, environment);
  }
  IOTCORE_ASSIGN(const TargetRef bound, target_of_sink(target, environment));
  if (sinks.bound == nullptr) {
    return fail(
        Errc::kInvalidRequest,
        fmt::format("{} has no way to targets of kind {}", sinks.kind, bound->kind)
    );
  }
  return sinks.bound(bound, environment);
}

const Clock& clock_of(const SinkEnvironment& environment) {
  static const SystemClock kSystemClock;
  return environment.clock == nullptr ? kSystemClock : *environment.clock;
}

}  // namespace iotcore::rules::actions
