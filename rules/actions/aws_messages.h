#pragma once

#include "rules/sink.h"
#include "rules/targets.h"

#include <memory>

// The actions that tell somebody something, at AWS itself or what speaks as it does.
namespace iotcore::rules::actions {

// Publish of SNS.
Result<std::unique_ptr<Sink>> make_aws_topic(
    const TargetRef& target, const SinkEnvironment& environment
);
// BatchPutMessage of IoT Events.
Result<std::unique_ptr<Sink>> make_aws_input(
    const TargetRef& target, const SinkEnvironment& environment
);
// SetAlarmState of CloudWatch.
Result<std::unique_ptr<Sink>> make_aws_alarm(
    const TargetRef& target, const SinkEnvironment& environment
);
// PutLogEvents of CloudWatch Logs, into the log stream `iotcore`, which is made if it is not there.
Result<std::unique_ptr<Sink>> make_aws_log(
    const TargetRef& target, const SinkEnvironment& environment
);

}  // namespace iotcore::rules::actions
