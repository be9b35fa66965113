#pragma once

#include "rules/bound_sink.h"
#include "rules/sink.h"
#include "rules/targets.h"

#include <memory>
#include <string_view>

namespace iotcore::rules::actions {

// Where the records of one of AWS's actions go.
struct AwsSinks {
  std::string_view kind;  // of the action
  BoundSink::NameOf name_of;
  Result<std::unique_ptr<Sink>> (*built_in)(const SinkEnvironment& environment);
  // To a target that the name is bound to; nullptr: there are none for this action.
  Result<std::unique_ptr<Sink>> (*bound
  )(const TargetRef& target, const SinkEnvironment& environment) = nullptr;
};

// make_sink() of such a kind, by what its actions answer as target().
Result<std::unique_ptr<Sink>> make_aws_sink(
    std::string_view target,
    const SinkEnvironment& environment,
    const AwsSinks& sinks,
    BoundSink::Make make
);

// The field of a record by its place: BoundSink::NameOf.
template <std::size_t kField>
std::string_view field_of(const Record& record) {
  return kField < record.fields.size() ? std::string_view(record.fields[kField])
                                       : std::string_view();
}

// The server's, or the system's where there is no server.
const Clock& clock_of(const SinkEnvironment& environment);

}  // namespace iotcore::rules::actions
