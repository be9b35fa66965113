#pragma once

#include "functions/site.h"
#include "server/config.h"

namespace iotcore::server {

// How this server runs local functions.
functions::Site function_site(const Config& config, const std::filesystem::path& data_dir);

}  // namespace iotcore::server
