#pragma once

#include "gateway/operations.h"

namespace iotcore::registry::pki {
class CertificateAuthority;
}

namespace iotcore::server {

// What an installation's own CA is, and its rotation.
void register_ca_operations(
    gateway::OperationRegistry& operations, registry::pki::CertificateAuthority& authority
);

}  // namespace iotcore::server
