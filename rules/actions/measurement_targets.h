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

}  // namespace iotcore::rules::actions
