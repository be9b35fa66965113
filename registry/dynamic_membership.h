#pragma once

#include "proto/record/registry.pb.h"
#include "registry/query/query.h"
#include "registry/rows.h"

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::registry {

// A thing as queries see it: thingName, thingId, thingTypeName, thingGroupNames (the static ones), attributes.NAME; all of them also with
// "registry." in front. Refers to both until it is destroyed.
class ThingSubjectView final : public query::Subject {
 public:
  ThingSubjectView(std::string_view name, const record::Thing& thing)
      : name_(name), thing_(thing) {}

  bool any(std::string_view field, const Test& test) const override;
  bool any(const Test& test) const override;

 private:
  std::string_view name_;
  const record::Thing& thing_;
};

// The queries of all dynamic groups, compiled: whoever writes a thing asks them all, so that memberships are right in the same commit. Thread-safe.
class DynamicMembership {
 public:
  struct Group {
    std::string name;
    std::uint64_t incarnation = 0;
    std::int64_t created_ms = 0;
    query::Query query;
  };

  // As of one state of the guard's row (keys.h).
  struct Snapshot {
    std::optional<store::Revision> guard;
    std::vector<Group> groups;  // the oldest first

    // The batch is refused if a dynamic group has been made or changed meanwhile.
    void expect(store::Batch& batch) const;
  };

  explicit DynamicMembership(store::Store& store) : store_(store) {}

  // Blocking. Second owner of a snapshot: whoever is just evaluating it while it is replaced.
  Result<std::shared_ptr<const Snapshot>> current();

  // Gives the thing its memberships of dynamic groups anew: of the oldest that it matches, as many as there is room for beside its static ones.
  static void assign(
      const Snapshot& snapshot, std::string_view name, record::Thing& thing, std::size_t groups_max
  );

 private:
  Result<std::shared_ptr<const Snapshot>> load(std::optional<store::Revision> guard);

  store::Store& store_;
  std::mutex mutex_;
  std::shared_ptr<const Snapshot> snapshot_;
};

}  // namespace iotcore::registry
