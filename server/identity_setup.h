#pragma once

#include "base/clock.h"
#include "base/metrics.h"
#include "registry/authorizer_function.h"
#include "registry/certificate_index.h"
#include "rules/engine.h"
#include "server/config.h"
#include "server/secrets.h"
#include "store/store.h"

#include <memory>

namespace iotcore::server {

// The functions of custom authorizers: what the configuration says of them; those that it does not name are local functions, which rules know, too.
// An authorizer's secret is called authorizer/NAME. Rules and secrets are there before the first call.
registry::AuthorizerFunctions authorizer_functions(
    const Config& config,
    const std::unique_ptr<rules::Engine>& rules,
    const std::unique_ptr<Secrets>& secrets
);

// Gauges of the certificates: those that end soon, and those in memory. All of it outlives the last scrape.
void watch_certificates(
    Metrics& metrics,
    store::Store& store,
    const Clock& clock,
    const registry::CertificateIndex& index
);

}  // namespace iotcore::server
