#pragma once

#include "gateway/operations.h"

#include <functional>

namespace iotcore::broker {
class Broker;
}

namespace iotcore::gateway {

// Whether a caller with a device certificate may do `action` ("iot:Publish") to `resource` ("topic/a/b"). Blocks.
using DeviceAccess = std::function<
    bool(const broker::PeerIdentity& peer, std::string_view action, std::string_view resource)>;

// Publish, GetRetainedMessage and ListRetainedMessages.
void register_message_operations(
    OperationRegistry& operations, broker::Broker& broker, Executor& pool, DeviceAccess access
);

}  // namespace iotcore::gateway
