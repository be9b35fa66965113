#pragma once

#include "base/json.h"
#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// InfluxDB's line protocol. Pure.
namespace iotcore::rules::actions {

struct InfluxPoint {
  std::string measurement;
  std::vector<std::pair<std::string, std::string>> tags;
  json::object fields;
  std::int64_t time = 0;  // in the unit of the request
};

// One line, with its end. Whole numbers are integers ("7i"; from 2^63 on "…u"), objects and lists their JSON text; members that are null are left out.
// Tags are sorted, as InfluxDB likes them best; empty ones are left out. An error: there is nothing to write, or a name that can't be.
Status append_line(std::string& out, const InfluxPoint& point);

}  // namespace iotcore::rules::actions
