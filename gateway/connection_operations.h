#pragma once

#include "gateway/operations.h"

namespace iotcore::broker {
class Broker;
}

namespace iotcore::registry {
class HttpAuthorizer;
}

namespace iotcore::gateway {

// GetConnection, DeleteConnection, ListSubscriptions and SendDirectMessage.
void register_connection_operations(
    OperationRegistry& operations,
    broker::Broker& broker,
    Executor& pool,
    registry::HttpAuthorizer& authorizer
);

}  // namespace iotcore::gateway
