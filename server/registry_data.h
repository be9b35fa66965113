#pragma once

#include "base/result.h"

#include <string>
#include <string_view>

namespace iotcore::gateway {
class OperationTable;
}

namespace iotcore::registry {
class Registry;
}

namespace iotcore::server {

// get_registry_data(): the reply of DescribeThing or ListThingGroupsForThing as the API gives it. Blocks on the store.
Result<std::string> registry_data(
    registry::Registry& registry,
    const gateway::OperationTable& operations,
    std::string_view operation,
    std::string_view thing
);

}  // namespace iotcore::server
