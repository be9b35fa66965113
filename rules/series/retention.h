#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "rules/targets.h"

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace iotcore::rules {

class MemberReader;

// CREATE TARGET … AS series(match = 'plant.*', keep = '30d'): how long the built-in time-series store keeps what is in a table ("database.table"; positions are
// "location.tracker"). Tables that no such target matches keep everything.
struct SeriesTarget {
  static constexpr std::string_view kName = "series";

  static void check(MemberReader& options);
};

// Deletes what is older than that, a little at a time; the latest position of a device stays. Blocks. Answers how many rows went.
Result<std::uint64_t> drop_old_points(
    const std::filesystem::path& file, const Targets& targets, WallTime now
);

}  // namespace iotcore::rules
