#pragma once

#include "rules/targets.h"
#include "server/config.h"

#include <toml++/toml.h>

#include <string>
#include <vector>

namespace iotcore::server {

// [targets.NAME] of the file: `kind` and the options of the target. A secret is written as { secret = "name" }.
Status read_targets(Config& config, const toml::node& targets);
// As TOML, for print_config(): options that may be secret are left out.
std::string print_targets(const Config& config);

// Not checked yet.
std::vector<rules::Target> targets_of(const Config& config);

}  // namespace iotcore::server
