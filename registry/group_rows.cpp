#include "registry/group_rows.h"

#include "registry/keys.h"

#include <algorithm>
#include <set>
#include <utility>

namespace iotcore::registry {
namespace {

auto membership_at(record::Thing& thing, std::string_view group) {
  auto& groups = *thing.mutable_groups();
  return std::lower_bound(
      groups.begin(),
      groups.end(),
      group,
      [](const record::GroupMembership& membership, std::string_view name) {
        return membership.group() < name;
      }
  );
}

}  // namespace

Result<std::optional<NamedGroup>> find_group(store::Store& store, std::string_view name) {
  IOTCORE_ASSIGN(
      auto found, find_record<record::ThingGroup>(store, keys::kRegistry, keys::thing_group(name))
  );
  if (!found) {
    return std::nullopt;
  }
  return NamedGroup{std::string(name), std::move(found->record), found->revision};
}

Result<NamedGroup> get_group(store::Store& store, std::string_view name) {
  IOTCORE_ASSIGN(std::optional<NamedGroup> found, find_group(store, name));
  if (!found) {
    return fail(Errc::kNotFound, absent_group(name));
  }
  return *std::move(found);
}

Result<std::vector<NamedGroup>> groups_of(store::Store& store, const record::Thing& thing) {
  std::vector<NamedGroup> out;
  if (thing.groups_size() == 0) {
    return out;
  }
  std::vector<std::string> row_keys;
  for (const record::GroupMembership& membership : thing.groups()) {
    row_keys.push_back(keys::thing_group(membership.group()).take());
  }
  IOTCORE_ASSIGN(const auto rows, store.multi_get(keys::kRegistry, row_keys));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i]) {
      continue;
    }
    const record::GroupMembership& membership = thing.groups(static_cast<int>(i));
    IOTCORE_ASSIGN(auto group, parse_record<record::ThingGroup>(rows[i]->value));
    if (incarnation_of(group.id()) == membership.incarnation()) {
      out.push_back({membership.group(), std::move(group), rows[i]->revision});
    }
  }
  return out;
}

Result<std::vector<std::string>> policy_groups_of(store::Store& store, const record::Thing& thing) {
  IOTCORE_ASSIGN(const std::vector<NamedGroup> groups, groups_of(store, thing));
  std::set<std::string> names;
  for (const NamedGroup& group : groups) {
    if (!group.group.has_query()) {
      names.insert(group.name);
      names.insert(group.group.ancestors().begin(), group.group.ancestors().end());
    }
  }
  return std::vector<std::string>(names.begin(), names.end());
}

const record::GroupMembership* find_membership(const record::Thing& thing, std::string_view group) {
  const auto found = std::find_if(
      thing.groups().begin(),
      thing.groups().end(),
      [group](const record::GroupMembership& membership) { return membership.group() == group; }
  );
  return found == thing.groups().end() ? nullptr : &*found;
}

void add_membership(record::Thing& thing, record::GroupMembership membership) {
  const auto at = membership_at(thing, membership.group()) - thing.mutable_groups()->begin();
  *thing.add_groups() = std::move(membership);
  auto& groups = *thing.mutable_groups();
  std::rotate(groups.begin() + at, groups.end() - 1, groups.end());
}

void remove_membership(record::Thing& thing, std::string_view group) {
  const auto at = membership_at(thing, group);
  if (at != thing.mutable_groups()->end() && at->group() == group) {
    thing.mutable_groups()->erase(at);
  }
}

}  // namespace iotcore::registry
