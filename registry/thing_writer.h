#pragma once

#include "registry/dynamic_membership.h"
#include "registry/events.h"

#include <string_view>

namespace iotcore::registry {

// Writes things with all that follows from it: the rows that find them, their memberships of dynamic groups, and the events. Blocking; any thread.
class ThingWriter {
 public:
  ThingWriter(
      store::Store& store, const Options& options, DynamicMembership& dynamic, Events& events
  )
      : store_(store), options_(options), dynamic_(dynamic), events_(events) {}

  struct Write {
    std::string_view name;
    // Null: there was none; who calls has put what it expects of the thing's row into the batch.
    const record::Thing* before = nullptr;
    // Null: it goes. Its memberships of dynamic groups are set by this.
    record::Thing* after = nullptr;
  };

  DynamicMembership& dynamic() { return dynamic_; }

  // Adds to the change. The event THING is of changes that count as a version.
  Status add(Change& change, const Write& write);
  // The same for one of many: the change expects the dynamic groups as they are in `groups` already.
  Status add(Change& change, const Write& write, const DynamicMembership::Snapshot& groups);

 private:
  Status add_group_rows(Change& change, const Write& write);
  Status add_membership(
      Change& change, const Write& write, const record::GroupMembership& membership, bool added
  );
  void add_thing_events(Change& change, const Write& write);

  store::Store& store_;
  const Options& options_;
  DynamicMembership& dynamic_;
  Events& events_;
};

}  // namespace iotcore::registry
