#pragma once

#include "gateway/operation_table.h"

#include <string>
#include <string_view>

namespace iotcore::gateway {

// The API as an OpenAPI 3.0.3 document in JSON, from the same descriptors that the transcoder
// reads.
std::string openapi_document(const OperationTable& table, std::string_view version);

}  // namespace iotcore::gateway
