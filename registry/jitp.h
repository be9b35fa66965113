#pragma once

#include "registry/auto_registration.h"
#include "registry/provisioning/provisioner.h"

namespace iotcore::registry {

// The pseudo parameters that a certificate gives to the template of its CA (provisioning.md 3.2).
provisioning::Parameters parameters_of(const pki::Certificate& certificate);

// Runs the template of the CA for a certificate that has just been registered by itself.
Status provision_just_in_time(
    provisioning::Provisioner& provisioner,
    const AutoProvisioning& what,
    std::string_view template_text
);

}  // namespace iotcore::registry
