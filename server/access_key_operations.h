#pragma once

#include "gateway/operations.h"

namespace iotcore::registry {
class AccessKeys;
class PolicyAttachments;
class SessionTokens;
struct Account;
}  // namespace iotcore::registry

namespace iotcore::server {

// Operators' keys over REST: what IAM and STS are at AWS. All of it outlives the registry's use.
void register_access_key_operations(
    gateway::OperationRegistry& operations,
    registry::AccessKeys& keys,
    const registry::SessionTokens& tokens,
    registry::PolicyAttachments& attachments,
    const registry::Account& account
);

}  // namespace iotcore::server
