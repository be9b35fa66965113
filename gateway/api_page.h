#pragma once

#include "gateway/operation_table.h"

#include <string>

namespace iotcore::gateway {

// docs/api.md: every operation with its members, bounds and errors, from the same descriptors that the transcoder reads.
std::string api_page(const OperationTable& table);

}  // namespace iotcore::gateway
