#pragma once

#include "base/result.h"

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace iotcore::rules {

struct QueryLimits {
  std::size_t rows_max = 10'000;
  std::size_t bytes_max = 16U << 20;
  std::chrono::milliseconds time_max{5'000};
};

// Runs one SELECT on a database that sinks of the server's own write, `tables` or `series`, and answers {"columns": […], "rows": [[…], …]}; "truncated": true
// if there were more rows than may be shown. Nothing is ever written: the database is opened for reading, and every other statement is refused. Blocks.
// kInvalidRequest: the text or the name of the database is wrong; kTimeout.
Result<std::string> run_query(
    const std::filesystem::path& sink_folder,
    std::string_view database,
    std::string_view sql,
    const QueryLimits& limits = {}
);

}  // namespace iotcore::rules
