#pragma once

#include "base/result.h"
#include "rules/engine.h"
#include "server/config.h"
#include "server/data_dir.h"

namespace iotcore::server {

// What the configuration says of rules.
Result<rules::EngineOptions> engine_options(const Config& config, const DataDir& data);

}  // namespace iotcore::server
