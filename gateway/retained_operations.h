#pragma once

#include "gateway/operations.h"

namespace iotcore::broker {
class Broker;
}

namespace iotcore::registry {
class HttpAuthorizer;
}

namespace iotcore::gateway {

// GetRetainedMessage and ListRetainedMessages.
void register_retained_operations(
    OperationRegistry& operations, broker::Broker& broker, registry::HttpAuthorizer& authorizer
);

}  // namespace iotcore::gateway
