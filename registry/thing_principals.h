#pragma once

#include "base/clock.h"
#include "proto/api/things.pb.h"
#include "proto/record/registry.pb.h"
#include "registry/options.h"
#include "registry/rows.h"

namespace iotcore::registry {

// Which principals things have, and things principals. Requests have passed their bounds. Blocking;
// any thread.
class ThingPrincipals {
 public:
  ThingPrincipals(store::Store& store, const Clock& clock, const Options& options)
      : store_(store), clock_(clock), options_(options) {}

  Result<api::AttachThingPrincipalResponse> attach(const api::AttachThingPrincipalRequest& request);
  // How they are attached, if they are. `principal`: an ARN or a Cognito identity id.
  Result<std::optional<record::ThingPrincipal>> find(
      std::string_view thing, std::string_view principal
  );
  // What is not attached is detached already.
  Result<api::DetachThingPrincipalResponse> detach(const api::DetachThingPrincipalRequest& request);
  Result<api::ListThingPrincipalsResponse> list_principals(
      const api::ListThingPrincipalsRequest& request
  );
  Result<api::ListPrincipalThingsResponse> list_things(
      const api::ListPrincipalThingsRequest& request
  );
  // The same with how each is attached, and for one way of it if the request says so.
  Result<api::ListThingPrincipalsV2Response> list_principals_v2(
      const api::ListThingPrincipalsV2Request& request
  );
  Result<api::ListPrincipalThingsV2Response> list_things_v2(
      const api::ListPrincipalThingsV2Request& request
  );

 private:
  Status try_attach(const api::AttachThingPrincipalRequest& request);
  Status try_detach(const api::DetachThingPrincipalRequest& request);
  Status check_exclusive(std::string_view thing, const Principal& principal, bool exclusive);

  store::Store& store_;
  const Clock& clock_;
  const Options& options_;
};

}  // namespace iotcore::registry
