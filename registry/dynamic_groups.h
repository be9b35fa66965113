#pragma once

#include "base/clock.h"
#include "base/executor.h"
#include "proto/api/thing_groups.pb.h"
#include "registry/group_rows.h"
#include "registry/options.h"
#include "registry/quotas.h"
#include "registry/thing_writer.h"

#include <atomic>
#include <string>
#include <vector>

namespace iotcore::registry {

// The operations on dynamic groups. From the commit of a group on, every thing that is written joins or leaves it in the same commit; the things that
// were there before are gone through page by page on the pool, during which the group is BUILDING or REBUILDING. Blocking; any thread.
class DynamicGroups {
 public:
  // `pool` has come to rest before this is destroyed.
  DynamicGroups(
      store::Store& store,
      const Clock& clock,
      const Options& options,
      Quotas& quotas,
      ThingWriter& writer,
      Events& events,
      Executor& pool
  )
      : store_(store),
        clock_(clock),
        options_(options),
        quotas_(quotas),
        writer_(writer),
        events_(events),
        pool_(pool) {}

  // Goes on with what an earlier run did not finish. Once.
  Status start();

  // Ends what is being built at its next page; the next start goes on with it. Any thread.
  void stop() { stopped_ = true; }

  // The same query and properties again are the same group; others are kAlreadyExists.
  Result<api::CreateDynamicThingGroupResponse> create(
      const api::CreateDynamicThingGroupRequest& request
  );
  Result<api::UpdateDynamicThingGroupResponse> update(
      const api::UpdateDynamicThingGroupRequest& request
  );
  Result<api::DeleteDynamicThingGroupResponse> remove(
      const api::DeleteDynamicThingGroupRequest& request
  );

 private:
  // Going through all things for one edition of one group.
  struct Build {
    std::string group;
    std::string id;
    std::int64_t edition = 0;
    std::string from;  // the key of the first thing not looked at yet
  };

  Result<api::CreateDynamicThingGroupResponse> try_create(
      const api::CreateDynamicThingGroupRequest& request
  );
  Result<NamedGroup> try_update(const api::UpdateDynamicThingGroupRequest& request);
  Status try_remove(const api::DeleteDynamicThingGroupRequest& request);

  void begin_build(const NamedGroup& group);
  // One page; posts itself again until the end.
  void build_page(Build build);
  Status try_build_page(Build& build, bool& at_end);
  Status write_anew(const std::vector<store::Entry>& rows);
  Status finish_build(const Build& build);

  store::Store& store_;
  const Clock& clock_;
  const Options& options_;
  Quotas& quotas_;
  ThingWriter& writer_;
  Events& events_;
  Executor& pool_;
  std::atomic<bool> stopped_ = false;
};

}  // namespace iotcore::registry
