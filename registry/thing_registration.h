#pragma once

#include "proto/api/provisioning.pb.h"
#include "registry/certificates.h"
#include "registry/provisioning/provisioner.h"

namespace iotcore::registry {

// RegisterThing: makes what a template says for the parameters of the request. What the resources themselves cannot be is kResourceRegistrationFailure.
// Blocking; any thread.
class ThingRegistration {
 public:
  ThingRegistration(provisioning::Provisioner& provisioner, Certificates& certificates)
      : provisioner_(provisioner), certificates_(certificates) {}

  Result<api::RegisterThingResponse> register_thing(const api::RegisterThingRequest& request);

 private:
  provisioning::Provisioner& provisioner_;
  Certificates& certificates_;
};

}  // namespace iotcore::registry
