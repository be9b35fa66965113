#pragma once

#include "base/clock.h"
#include "proto/api/thing_groups.pb.h"
#include "registry/group_rows.h"
#include "registry/options.h"
#include "registry/quotas.h"
#include "registry/thing_writer.h"

namespace iotcore::registry {

// The operations on groups of things themselves; what things are in them: group_members.h. Blocking; any thread.
class ThingGroups {
 public:
  ThingGroups(
      store::Store& store, const Clock& clock, const Options& options, Quota& quota, Events& events
  )
      : store_(store), clock_(clock), options_(options), quota_(quota), events_(events) {}

  // The same parent and properties again are the same group; others are kAlreadyExists.
  Result<api::CreateThingGroupResponse> create(const api::CreateThingGroupRequest& request);
  // Dynamic groups, too.
  Result<api::DescribeThingGroupResponse> describe(const api::DescribeThingGroupRequest& request);
  Result<api::UpdateThingGroupResponse> update(const api::UpdateThingGroupRequest& request);
  // Only without child groups; its things stay, its policies are detached.
  Result<api::DeleteThingGroupResponse> remove(const api::DeleteThingGroupRequest& request);
  Result<api::ListThingGroupsResponse> list(const api::ListThingGroupsRequest& request);

 private:
  Result<api::CreateThingGroupResponse> try_create(const api::CreateThingGroupRequest& request);
  Status add_parent(Change& change, record::ThingGroup& group, const std::string& parent);
  Status add_hierarchy_event(
      Change& change, std::string_view name, const record::ThingGroup& group, bool added
  );
  Result<std::int64_t> try_update(const api::UpdateThingGroupRequest& request);
  Status try_remove(const api::DeleteThingGroupRequest& request);
  Status list_descendants(
      const api::ListThingGroupsRequest& request,
      const NamedGroup& parent,
      api::ListThingGroupsResponse& response
  );

  store::Store& store_;
  const Clock& clock_;
  const Options& options_;
  Quota& quota_;
  Events& events_;
};

// What static and dynamic groups have in common.

// A new group with what creating one gives it. kInvalidRequest on too many attributes.
Result<record::ThingGroup> make_group(
    const Clock& clock, const Limits& limits, const api::ThingGroupProperties& properties
);
// As an update leaves the properties: a description and attributes replace what is there, when they are given.
Status update_properties(
    record::ThingGroup& group, const api::ThingGroupProperties& given, const Limits& limits
);
bool same_properties(const api::ThingGroupProperties& a, const api::ThingGroupProperties& b);
// Everything that a group has: its row, its place among the others, its things, its policies, its tags. It has no children.
Status erase_group(store::Store& store, store::Batch& batch, const NamedGroup& group);
// THING_GROUP.
Status add_group_event(
    store::Store& store,
    Events& events,
    const Options& options,
    Change& change,
    const NamedGroup& group,
    std::string_view operation
);

}  // namespace iotcore::registry
