#pragma once

#include "base/clock.h"
#include "proto/api/things.pb.h"
#include "proto/record/registry.pb.h"
#include "registry/events.h"
#include "registry/options.h"
#include "registry/quotas.h"

namespace iotcore::registry {

// The operations on thing types. Requests have passed their bounds. Blocking; any thread.
class ThingTypes {
 public:
  ThingTypes(
      store::Store& store, const Clock& clock, const Options& options, Quota& quota, Events& events
  )
      : store_(store), clock_(clock), options_(options), quota_(quota), events_(events) {}

  // The same properties again are the same type; others are kAlreadyExists.
  Result<api::CreateThingTypeResponse> create(const api::CreateThingTypeRequest& request);
  Result<api::DescribeThingTypeResponse> describe(const api::DescribeThingTypeRequest& request);
  // What is given replaces what was there.
  Result<api::UpdateThingTypeResponse> update(const api::UpdateThingTypeRequest& request);
  // No new things may take a deprecated type.
  Result<api::DeprecateThingTypeResponse> deprecate(const api::DeprecateThingTypeRequest& request);
  // Only a type that no thing has and that has been deprecated for Limits::type_deletion_wait.
  Result<api::DeleteThingTypeResponse> remove(const api::DeleteThingTypeRequest& request);
  // Of those whose names begin as the request says.
  Result<api::ListThingTypesResponse> list(const api::ListThingTypesRequest& request);

 private:
  Result<api::CreateThingTypeResponse> try_create(const api::CreateThingTypeRequest& request);
  Status try_update(const api::UpdateThingTypeRequest& request);
  Status try_deprecate(const api::DeprecateThingTypeRequest& request);
  Status try_remove(const api::DeleteThingTypeRequest& request);
  Status check_properties(const api::ThingTypeProperties& properties) const;
  void add_event(
      Change& change,
      const std::string& name,
      const record::ThingType& type,
      std::string_view operation
  ) const;

  store::Store& store_;
  const Clock& clock_;
  const Options& options_;
  Quota& quota_;
  Events& events_;
};

}  // namespace iotcore::registry
