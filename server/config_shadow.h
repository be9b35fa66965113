#pragma once

#include "server/config.h"
#include "shadow/options.h"

#include <string_view>
#include <vector>

namespace iotcore::server {

std::vector<ConfigKey> shadow_keys();

// shadow.type.NAME.KEY sets KEY for the shadows of things of that type; what is not set there is as for all.
bool is_thing_type_key(std::string_view key);
Status set_thing_type_key(Config& config, std::string_view key, std::string_view value);
// Once everything has been set.
Status resolve_thing_types(Config& config);
// As TOML, for print_config().
std::string print_thing_types(const Config& config);

// What the service takes; reads the schemas.
Result<shadow::ServiceOptions> shadow_options(const Config& config);

}  // namespace iotcore::server
