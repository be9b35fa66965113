#pragma once

#include "gateway/operations.h"

namespace iotcore::broker {
class Broker;
}

namespace iotcore::registry {
class Registry;
}

namespace iotcore::gateway {

// GetThingConnectivityData: what the broker knows of the client that is the thing, by its name or by an exclusive attachment.
void register_connectivity_operation(
    OperationRegistry& operations,
    broker::Broker& broker,
    registry::Registry& registry,
    Executor& pool
);

}  // namespace iotcore::gateway
