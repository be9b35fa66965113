#pragma once

#include "registry/certificates.h"
#include "registry/endpoints.h"
#include "registry/grants.h"
#include "registry/live_devices.h"
#include "registry/options.h"
#include "registry/policies.h"
#include "registry/policy_attachments.h"
#include "registry/thing_principals.h"
#include "registry/thing_types.h"
#include "registry/things.h"

namespace iotcore::registry {

// All of the registry over one store. Blocking operations; any thread. Everything it is given outlives it; `pool`, which runs what blocks, has come to
// rest before it is destroyed.
class Registry {
 public:
  Registry(
      store::Store& store,
      const Clock& clock,
      Options options,
      const pki::CertificateAuthority& authority,
      Executor& pool
  );

  const Options& options() const { return options_; }

  Things& things() { return things_; }

  ThingPrincipals& thing_principals() { return thing_principals_; }

  ThingTypes& thing_types() { return thing_types_; }

  Certificates& certificates() { return certificates_; }

  Policies& policies() { return policies_; }

  PolicyAttachments& policy_attachments() { return policy_attachments_; }

  // What DeviceAuthorizer and HttpAuthorizer decide by.
  LiveDevices& devices() { return devices_; }

  // Empties the account: everything but access keys and the CA. Devices that are connected lose their rights.
  Status wipe();

 private:
  store::Store& store_;
  const Options options_;
  Things things_;
  ThingPrincipals thing_principals_;
  ThingTypes thing_types_;
  Certificates certificates_;
  Policies policies_;
  PolicyAttachments policy_attachments_;
  GrantReader grants_;
  LiveDevices devices_;
};

}  // namespace iotcore::registry
