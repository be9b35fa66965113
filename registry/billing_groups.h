#pragma once

#include "base/clock.h"
#include "proto/api/thing_groups.pb.h"
#include "proto/record/registry.pb.h"
#include "registry/options.h"
#include "registry/quotas.h"
#include "registry/thing_writer.h"

namespace iotcore::registry {

// For a thing that is to be in that group. kNotFound; the batch then expects that the group stays.
Result<record::GroupMembership> join_billing_group(
    store::Store& store, store::Batch& batch, std::string_view group
);

// A thing stays in its record in a group that is deleted, but not in a later one of that name, which `group` may be.
bool is_of_billing_group(const record::Thing& thing, const record::BillingGroup& group);
Result<bool> is_in_billing_group(store::Store& store, const record::Thing& thing);

// The operations on billing groups. A thing is in one at most. Blocking; any thread.
class BillingGroups {
 public:
  BillingGroups(
      store::Store& store,
      const Clock& clock,
      const Options& options,
      Quota& quota,
      ThingWriter& writer,
      Events& events
  )
      : store_(store),
        clock_(clock),
        options_(options),
        quota_(quota),
        writer_(writer),
        events_(events) {}

  // The same properties again are the same group; others are kAlreadyExists.
  Result<api::CreateBillingGroupResponse> create(const api::CreateBillingGroupRequest& request);
  Result<api::DescribeBillingGroupResponse> describe(const api::DescribeBillingGroupRequest& request
  );
  Result<api::UpdateBillingGroupResponse> update(const api::UpdateBillingGroupRequest& request);
  // Its things are in none then.
  Result<api::DeleteBillingGroupResponse> remove(const api::DeleteBillingGroupRequest& request);
  Result<api::ListBillingGroupsResponse> list(const api::ListBillingGroupsRequest& request);
  // Out of the one that it was in.
  Result<api::AddThingToBillingGroupResponse> add_thing(
      const api::AddThingToBillingGroupRequest& request
  );
  Result<api::RemoveThingFromBillingGroupResponse> remove_thing(
      const api::RemoveThingFromBillingGroupRequest& request
  );
  Result<api::ListThingsInBillingGroupResponse> list_things(
      const api::ListThingsInBillingGroupRequest& request
  );

 private:
  Result<api::CreateBillingGroupResponse> try_create(const api::CreateBillingGroupRequest& request);
  Result<std::int64_t> try_update(const api::UpdateBillingGroupRequest& request);
  Status try_remove(const api::DeleteBillingGroupRequest& request);
  // An empty group: out of `from`, if the thing is in it.
  Status try_move(std::string_view thing, std::string_view group, std::string_view from);

  store::Store& store_;
  const Clock& clock_;
  const Options& options_;
  Quota& quota_;
  ThingWriter& writer_;
  Events& events_;
};

}  // namespace iotcore::registry
