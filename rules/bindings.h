#pragma once

#include "base/result.h"
#include "rules/sink.h"
#include "rules/sql/program.h"
#include "rules/targets.h"

#include <string>
#include <string_view>

// How actions come to their targets, and sinks to theirs. What an action answers as its target() is one of:
//
//   an action of ours         the name of the target that it names (or what it delivers to by itself, as a file's path)
//   an action of AWS's        ""      the built-in target
//                             "name"  the target that its name is bound to
//                             "*"     the name has ${…} in it, and targets match names of its kind: its sink is a BoundSink
//
// Which it is may change with the targets: the rule is compiled anew then. make_sink() of the kind gets the same text.
namespace iotcore::rules {

class MemberReader;

inline constexpr std::string_view kBuiltInTarget;
inline constexpr std::string_view kBoundByRecord = "*";

// For an action of ours: the target of `kind` that member `name` names. What is wrong with it is the reader's error, with a suggestion; the answer is
// nullptr then.
TargetRef read_target(
    MemberReader& members,
    std::string_view name,
    std::string_view kind,
    const SinkEnvironment& environment
);

// For an action of AWS's: its target(), by the kind of the action ("s3") and what names the resource (the bucket).
std::string bound_target(
    std::string_view kind, const sql::Template& name, const SinkEnvironment& environment
);

// For make_sink(): the target of that name. kNotFound if it has gone.
Result<TargetRef> target_of_sink(std::string_view target, const SinkEnvironment& environment);

}  // namespace iotcore::rules
