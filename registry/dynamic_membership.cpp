#include "registry/dynamic_membership.h"

#include "registry/group_rows.h"
#include "registry/keys.h"
#include "registry/page.h"

#include <algorithm>
#include <utility>

namespace iotcore::registry {
namespace {

using query::ValueView;

constexpr std::string_view kPlaced = "registry.";
constexpr std::string_view kAttributes = "attributes.";
// Far more than there may be dynamic groups.
constexpr std::size_t kGroupsRead = 10000;

}  // namespace

bool ThingSubjectView::any(std::string_view field, const Test& test) const {
  if (field.starts_with(kPlaced)) {
    field.remove_prefix(kPlaced.size());
  }
  if (field.starts_with(kAttributes)) {
    const auto found = thing_.attributes().find(std::string(field.substr(kAttributes.size())));
    return found != thing_.attributes().end() && test(ValueView::of_attribute(found->second));
  }
  if (field == "thingName") {
    return test(ValueView::of_text(name_));
  }
  if (field == "thingId") {
    return test(ValueView::of_text(thing_.id()));
  }
  if (field == "thingTypeName") {
    return thing_.has_type() && test(ValueView::of_text(thing_.type()));
  }
  if (field == "thingGroupNames") {
    return std::any_of(thing_.groups().begin(), thing_.groups().end(), [&test](const auto& group) {
      return !group.dynamic() && test(ValueView::of_text(group.group()));
    });
  }
  return false;
}

bool ThingSubjectView::any(const Test& test) const {
  for (const std::string_view field :
       {"thingName", "thingId", "thingTypeName", "thingGroupNames"}) {
    if (any(field, test)) {
      return true;
    }
  }
  return std::any_of(
      thing_.attributes().begin(),
      thing_.attributes().end(),
      [&test](const auto& attribute) { return test(ValueView::of_attribute(attribute.second)); }
  );
}

void DynamicMembership::Snapshot::expect(store::Batch& batch) const {
  const auto key = keys::dynamic_groups_guard();
  if (guard) {
    batch.expect_revision(keys::kRegistry, key, *guard);
  } else {
    batch.expect_absent(keys::kRegistry, key);
  }
}

Result<std::shared_ptr<const DynamicMembership::Snapshot>> DynamicMembership::current() {
  IOTCORE_ASSIGN(const auto row, store_.get(keys::kRegistry, keys::dynamic_groups_guard()));
  const auto guard = row ? std::optional(row->revision) : std::nullopt;
  {
    const std::lock_guard lock(mutex_);
    if (snapshot_ != nullptr && snapshot_->guard == guard) {
      return snapshot_;
    }
  }
  // A group that has changed since the guard was read is read as it is now: whoever expects the guard is refused then.
  IOTCORE_ASSIGN(auto loaded, load(guard));
  const std::lock_guard lock(mutex_);
  snapshot_ = loaded;
  return loaded;
}

Result<std::shared_ptr<const DynamicMembership::Snapshot>> DynamicMembership::load(
    std::optional<store::Revision> guard
) {
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->guard = guard;
  IOTCORE_ASSIGN(
      const std::vector<store::Entry> rows,
      store_.scan(keys::kRegistry, keys::dynamic_groups(), {}, kGroupsRead)
  );
  for (const store::Entry& row : rows) {
    IOTCORE_ASSIGN(auto found, find_group(store_, segment_of(row.key, 0)));
    if (!found || !found->group.has_query()) {
      continue;
    }
    IOTCORE_ASSIGN(query::Query parsed, query::Query::parse(found->group.query().text()));
    snapshot->groups.push_back(
        {std::move(found->name),
         incarnation_of(found->group.id()),
         found->group.created_ms(),
         std::move(parsed)}
    );
  }
  std::stable_sort(
      snapshot->groups.begin(),
      snapshot->groups.end(),
      [](const Group& a, const Group& b) { return a.created_ms < b.created_ms; }
  );
  return snapshot;
}

void DynamicMembership::assign(
    const Snapshot& snapshot, std::string_view name, record::Thing& thing, std::size_t groups_max
) {
  auto& groups = *thing.mutable_groups();
  groups.erase(
      std::remove_if(
          groups.begin(), groups.end(), [](const auto& group) { return group.dynamic(); }
      ),
      groups.end()
  );
  const ThingSubjectView subject(name, thing);
  // Adding to the thing's groups changes nothing that queries see: only static ones are looked at.
  for (const Group& group : snapshot.groups) {
    if (static_cast<std::size_t>(groups.size()) >= groups_max) {
      return;
    }
    if (group.query.matches(subject)) {
      // What is left of a deleted group of that name.
      remove_membership(thing, group.name);
      record::GroupMembership membership;
      membership.set_group(group.name);
      membership.set_incarnation(group.incarnation);
      membership.set_dynamic(true);
      add_membership(thing, std::move(membership));
    }
  }
}

}  // namespace iotcore::registry
