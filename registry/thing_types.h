#pragma once

#include "base/clock.h"
#include "proto/api/things.pb.h"
#include "proto/record/registry.pb.h"
#include "registry/options.h"
#include "registry/rows.h"

namespace iotcore::registry {

// The operations on thing types. Requests have passed their bounds. Blocking; any thread.
class ThingTypes {
 public:
  ThingTypes(store::Store& store, const Clock& clock, const Options& options)
      : store_(store), clock_(clock), options_(options) {}

  // The same properties again are the same type; others are kAlreadyExists.
  Result<api::CreateThingTypeResponse> create(const api::CreateThingTypeRequest& request);
  Result<api::DescribeThingTypeResponse> describe(const api::DescribeThingTypeRequest& request);
  // No new things may take a deprecated type.
  Result<api::DeprecateThingTypeResponse> deprecate(const api::DeprecateThingTypeRequest& request);
  // Only a type that no thing has and that has been deprecated for Limits::type_deletion_wait.
  Result<api::DeleteThingTypeResponse> remove(const api::DeleteThingTypeRequest& request);
  Result<api::ListThingTypesResponse> list(const api::ListThingTypesRequest& request);

 private:
  Result<api::CreateThingTypeResponse> try_create(const api::CreateThingTypeRequest& request);
  Status try_deprecate(const api::DeprecateThingTypeRequest& request);
  Status try_remove(const api::DeleteThingTypeRequest& request);

  store::Store& store_;
  const Clock& clock_;
  const Options& options_;
};

}  // namespace iotcore::registry
