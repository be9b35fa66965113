#pragma once

#include "base/result.h"
#include "rules/sink.h"

#include <filesystem>
#include <string>
#include <string_view>

namespace iotcore::rules {

// The path of a file that an action names, in normal form: below the sinks' folder, or anywhere if absolute paths are allowed.
// kInvalidRequest says what is wrong with it.
Result<std::string> check_sink_path(std::string_view path, const SinkEnvironment& environment);
// Where that is.
std::filesystem::path resolve_sink_path(
    std::string_view checked, const SinkEnvironment& environment
);

}  // namespace iotcore::rules
