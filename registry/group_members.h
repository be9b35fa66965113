#pragma once

#include "proto/api/thing_groups.pb.h"
#include "registry/group_rows.h"
#include "registry/options.h"
#include "registry/thing_writer.h"

#include <string>
#include <string_view>
#include <vector>

namespace iotcore::registry {

// Which things are in which groups. A thing is in a bounded number of groups, and in one group of a tree only. Blocking; any thread.
class GroupMembers {
 public:
  GroupMembers(store::Store& store, const Options& options, ThingWriter& writer, Events& events)
      : store_(store), options_(options), writer_(writer), events_(events) {}

  // In it already: nothing to do.
  Result<api::AddThingToThingGroupResponse> add(const api::AddThingToThingGroupRequest& request);
  Result<api::RemoveThingFromThingGroupResponse> remove(
      const api::RemoveThingFromThingGroupRequest& request
  );
  // All of it or nothing.
  Result<api::UpdateThingGroupsForThingResponse> update(
      const api::UpdateThingGroupsForThingRequest& request
  );
  Result<api::ListThingsInThingGroupResponse> list_things(
      const api::ListThingsInThingGroupRequest& request
  );
  Result<api::ListThingGroupsForThingResponse> list_groups(
      const api::ListThingGroupsForThingRequest& request
  );

 private:
  struct Move {
    std::string thing;
    std::vector<std::string> into;
    std::vector<std::string> out_of;
    // Dynamic groups make room for static ones.
    bool override_dynamic = false;
  };

  Status try_move(const Move& move);
  Status leave(record::Thing& thing, const std::string& group);
  Status join(
      store::Batch& batch,
      record::Thing& thing,
      std::vector<NamedGroup>& groups,
      const std::string& group
  );
  Status check_room(const record::Thing& thing, bool override_dynamic) const;

  store::Store& store_;
  const Options& options_;
  ThingWriter& writer_;
  Events& events_;
};

}  // namespace iotcore::registry
