#pragma once

#include "base/clock.h"
#include "base/metrics.h"
#include "registry/authorizer_function.h"
#include "server/config.h"
#include "store/store.h"

namespace iotcore::server {

// What the configuration says of the functions of custom authorizers.
registry::AuthorizerFunctions authorizer_functions(const Config& config);

// A gauge of the certificates that end soon. All of it outlives the last scrape.
void watch_certificate_ends(Metrics& metrics, store::Store& store, const Clock& clock);

}  // namespace iotcore::server
