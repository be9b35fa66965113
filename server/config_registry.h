#pragma once

#include "registry/domain_table.h"
#include "server/config.h"

#include <vector>

namespace iotcore::server {

// Keys under registry.limits.
std::vector<ConfigKey> registry_limit_keys();

}  // namespace iotcore::server
