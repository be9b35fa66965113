#pragma once

#include "rules/sink.h"
#include "rules/targets.h"

#include <memory>

namespace iotcore::rules::actions {

// iotSiteWise in PostgreSQL, the table property_values(series, time, quality, number, text, flag), or InfluxDB, the measurement properties.
Result<std::unique_ptr<Sink>> make_bound_site_wise(
    const TargetRef& target, const SinkEnvironment& environment
);

// location in PostgreSQL, a table named as the tracker: device, time, latitude, longitude.
Result<std::unique_ptr<Sink>> make_bound_location(
    const TargetRef& target, const SinkEnvironment& environment
);

// timestream in PostgreSQL, a row with the columns time, each dimension and each measure; in InfluxDB, a point whose tags are the dimensions; or at AWS.
Result<std::unique_ptr<Sink>> make_bound_timestream(
    const TargetRef& target, const SinkEnvironment& environment
);

// cloudwatchMetric in InfluxDB, the namespace's measurement with the tags metric and unit and the field value; or at AWS.
Result<std::unique_ptr<Sink>> make_bound_metric(
    const TargetRef& target, const SinkEnvironment& environment
);

}  // namespace iotcore::rules::actions
