#pragma once

#include "gateway/operations.h"

namespace iotcore::registry {
class HttpAuthorizer;
class Registry;
class SessionTokens;
}  // namespace iotcore::registry

namespace iotcore::server {

// The credentials provider: temporary credentials for devices, by their certificates and role aliases. All of it outlives the registry's use.
void register_credentials_operations(
    gateway::OperationRegistry& operations,
    registry::Registry& registry,
    registry::HttpAuthorizer& authorizer,
    const registry::SessionTokens& tokens
);

}  // namespace iotcore::server
