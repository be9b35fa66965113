#pragma once

#include "base/ids.h"
#include "proto/record/registry.pb.h"
#include "registry/rows.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::registry {

struct NamedGroup {
  std::string name;
  record::ThingGroup group;
  store::Revision revision;
};

// Tells a group from an earlier one of its name.
inline std::uint64_t incarnation_of(const std::string& id) {
  return stable_hash(id);
}

inline std::string absent_group(std::string_view name) {
  return "Thing group " + std::string(name) + " does not exist";
}

// kNotFound.
Result<NamedGroup> get_group(store::Store& store, std::string_view name);
Result<std::optional<NamedGroup>> find_group(store::Store& store, std::string_view name);

// The groups that a thing is in: those that still are the ones that were meant.
Result<std::vector<NamedGroup>> groups_of(store::Store& store, const record::Thing& thing);

// The names of the groups whose policies reach a thing: its static groups and all above them, each once, in the order of their names.
Result<std::vector<std::string>> policy_groups_of(store::Store& store, const record::Thing& thing);

// The membership, or null.
const record::GroupMembership* find_membership(const record::Thing& thing, std::string_view group);
// Keeps them in the order of their names. There is none of that group.
void add_membership(record::Thing& thing, record::GroupMembership membership);
void remove_membership(record::Thing& thing, std::string_view group);

// The root of the tree that a group stands in.
inline const std::string& root_of(const NamedGroup& group) {
  return group.group.ancestors_size() > 0 ? group.group.ancestors(0) : group.name;
}

}  // namespace iotcore::registry
