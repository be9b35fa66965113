#pragma once

#include "rules/sink.h"
#include "rules/targets.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace iotcore::rules::actions {

// What an action of AWS's becomes as a message: where it goes there, and by what it is kept in order.
struct RoutedMessage {
  std::string destination;  // the stream's or queue's name
  std::string key;          // may be empty
};

using RouteOf = Result<RoutedMessage> (*)(const Record& record);
// What goes there instead of the record's payload; nothing: the payload.
using BodyOf = Result<std::optional<std::string>> (*)(const Record& record);

// The sink of actions that put messages into queues and streams, for a target of kind `kafka` (topic), `nats` (subject), `redis` (stream, by XADD) or `amqp`
// (queue). `kind` is the action's, for what is said of targets of other kinds.
Result<std::unique_ptr<Sink>> make_message_sink(
    std::string_view kind,
    const TargetRef& target,
    const SinkEnvironment& environment,
    RouteOf route,
    BodyOf body = nullptr
);

// An object for each record in a target of kind `s3`: in the bucket of the destination's name, under YYYY/MM/DD/HH/.
Result<std::unique_ptr<Sink>> make_s3_objects(
    const TargetRef& target, const SinkEnvironment& environment, RouteOf route
);

}  // namespace iotcore::rules::actions
