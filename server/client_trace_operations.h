#pragma once

#include "broker/broker.h"
#include "gateway/operations.h"

namespace iotcore::server {

// TraceClient.
void register_client_trace_operations(
    gateway::OperationRegistry& operations, broker::Broker& broker
);

}  // namespace iotcore::server
