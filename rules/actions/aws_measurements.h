#pragma once

#include "rules/sink.h"
#include "rules/targets.h"

#include <memory>

// The actions that write measurements, at AWS itself or what speaks as it does.
namespace iotcore::rules::actions {

// WriteRecords of Timestream.
Result<std::unique_ptr<Sink>> make_aws_timestream(
    const TargetRef& target, const SinkEnvironment& environment
);
// BatchPutAssetPropertyValue of IoT SiteWise.
Result<std::unique_ptr<Sink>> make_aws_site_wise(
    const TargetRef& target, const SinkEnvironment& environment
);
// BatchUpdateDevicePosition of Location Service.
Result<std::unique_ptr<Sink>> make_aws_location(
    const TargetRef& target, const SinkEnvironment& environment
);
// PutMetricData of CloudWatch.
Result<std::unique_ptr<Sink>> make_aws_metric(
    const TargetRef& target, const SinkEnvironment& environment
);

}  // namespace iotcore::rules::actions
