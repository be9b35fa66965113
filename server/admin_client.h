#pragma once

#include "base/result.h"
#include "net/http_message.h"

#include <filesystem>
#include <string>

namespace iotcore::server {

// Asks the admin face of the server that runs on `data_dir`, which is found by what the server wrote there. kNotFound if none runs there, or
// listen.admin is off.
Result<net::HttpResponse> ask_admin(const std::filesystem::path& data_dir, std::string target);

}  // namespace iotcore::server
