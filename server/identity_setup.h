#pragma once

#include "base/clock.h"
#include "base/metrics.h"
#include "registry/authorizer_function.h"
#include "rules/sink.h"
#include "server/config.h"
#include "store/store.h"

namespace iotcore::server {

// What the configuration says of the functions of custom authorizers; `local` stands for those that it does not name.
registry::AuthorizerFunctions authorizer_functions(
    const Config& config, registry::AuthorizerFunctions::Local local
);
// What such a function, which rules know too, answers.
Result<std::string> call_for_authorizer(
    const rules::SinkEnvironment& environment,
    std::string_view name,
    const std::string& event,
    std::chrono::milliseconds limit
);

// A gauge of the certificates that end soon. All of it outlives the last scrape.
void watch_certificate_ends(Metrics& metrics, store::Store& store, const Clock& clock);

}  // namespace iotcore::server
