#pragma once

#include "gateway/operations.h"

namespace iotcore::registry {
class HttpAuthorizer;
}

namespace iotcore::shadow {
class Service;
}

namespace iotcore::gateway {

// GetThingShadow, UpdateThingShadow, DeleteThingShadow and ListNamedShadowsForThing. All of it outlives the registry of operations.
void register_shadow_operations(
    OperationRegistry& operations,
    shadow::Service& shadows,
    registry::HttpAuthorizer& authorizer,
    Executor& pool
);

}  // namespace iotcore::gateway
