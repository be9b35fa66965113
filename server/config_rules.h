#pragma once

#include "base/result.h"
#include "net/http_caller.h"
#include "rules/engine.h"
#include "server/config.h"
#include "server/data_dir.h"

#include <vector>

namespace iotcore::server {

// Keys under rules.sql and rules.limits.
std::vector<ConfigKey> rule_language_keys();

// Which URLs may be called that are not the configuration's own: http.allow.
net::HttpRules outbound_rules(const Config& config);

// What the configuration says of rules.
Result<rules::EngineOptions> engine_options(const Config& config, const DataDir& data);

// The targets of a configuration that was read again, into `running` too unless they are refused; the log says what happened. Secrets are looked at
// again as well.
void take_targets(Config& running, const Config& read, rules::Engine& engine);

}  // namespace iotcore::server
