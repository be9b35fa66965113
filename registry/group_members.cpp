#include "registry/group_members.h"

#include "base/crypto.h"
#include "registry/keys.h"
#include "registry/list_token.h"
#include "registry/named_resource.h"
#include "registry/page.h"

#include <algorithm>
#include <utility>

namespace iotcore::registry {
namespace {

constexpr std::string_view kKind = "thinggroup";
constexpr std::string_view kWhat = "thing group";

std::string absent_thing(std::string_view thing) {
  return "Thing " + std::string(thing) + " does not exist";
}

Status refuse_dynamic(const NamedGroup& group) {
  if (group.group.has_query()) {
    return fail(
        Errc::kInvalidRequest,
        group.name + " is a dynamic thing group: its query decides which things are in it"
    );
  }
  return {};
}

}  // namespace

Result<api::AddThingToThingGroupResponse> GroupMembers::add(
    const api::AddThingToThingGroupRequest& request
) {
  IOTCORE_ASSIGN(
      std::string group,
      name_or_arn(
          options_.account, kKind, kWhat, request.thing_group_name(), request.thing_group_arn()
      )
  );
  IOTCORE_ASSIGN(
      std::string thing,
      name_or_arn(options_.account, "thing", "thing", request.thing_name(), request.thing_arn())
  );
  const Move move{std::move(thing), {std::move(group)}, {}, request.override_dynamic_groups()};
  IOTCORE_TRY(until_no_conflict([&] { return try_move(move); }));
  return api::AddThingToThingGroupResponse();
}

Result<api::RemoveThingFromThingGroupResponse> GroupMembers::remove(
    const api::RemoveThingFromThingGroupRequest& request
) {
  IOTCORE_ASSIGN(
      std::string group,
      name_or_arn(
          options_.account, kKind, kWhat, request.thing_group_name(), request.thing_group_arn()
      )
  );
  IOTCORE_ASSIGN(
      std::string thing,
      name_or_arn(options_.account, "thing", "thing", request.thing_name(), request.thing_arn())
  );
  const Move move{std::move(thing), {}, {std::move(group)}, false};
  IOTCORE_TRY(until_no_conflict([&] { return try_move(move); }));
  return api::RemoveThingFromThingGroupResponse();
}

Result<api::UpdateThingGroupsForThingResponse> GroupMembers::update(
    const api::UpdateThingGroupsForThingRequest& request
) {
  if (request.thing_name().empty()) {
    return fail(Errc::kInvalidRequest, "thingName is missing");
  }
  const Move move{
      request.thing_name(),
      {request.thing_groups_to_add().begin(), request.thing_groups_to_add().end()},
      {request.thing_groups_to_remove().begin(), request.thing_groups_to_remove().end()},
      request.override_dynamic_groups()};
  IOTCORE_TRY(until_no_conflict([&] { return try_move(move); }));
  return api::UpdateThingGroupsForThingResponse();
}

Status GroupMembers::try_move(const Move& move) {
  const auto key = keys::thing(move.thing);
  IOTCORE_ASSIGN(
      const auto before,
      get_record<record::Thing>(store_, keys::kRegistry, key, absent_thing(move.thing))
  );
  Change change;
  change.batch.expect_revision(keys::kRegistry, key, before.revision);
  record::Thing after = before.record;
  for (const std::string& group : move.out_of) {
    IOTCORE_TRY(leave(after, group));
  }
  IOTCORE_ASSIGN(std::vector<NamedGroup> groups, groups_of(store_, after));
  // What is left of groups that have been deleted goes, too.
  for (const record::GroupMembership& membership : before.record.groups()) {
    const bool stands = std::any_of(groups.begin(), groups.end(), [&](const NamedGroup& group) {
      return group.name == membership.group();
    });
    if (!stands) {
      remove_membership(after, membership.group());
    }
  }
  for (const std::string& group : move.into) {
    IOTCORE_TRY(join(change.batch, after, groups, group));
  }
  IOTCORE_TRY(check_room(after, move.override_dynamic));
  IOTCORE_TRY(writer_.add(change, {move.thing, &before.record, &after}));
  return events_.commit(std::move(change));
}

Status GroupMembers::leave(record::Thing& thing, const std::string& group) {
  IOTCORE_ASSIGN(const NamedGroup found, get_group(store_, group));
  IOTCORE_TRY(refuse_dynamic(found));
  remove_membership(thing, group);
  return {};
}

Status GroupMembers::join(
    store::Batch& batch,
    record::Thing& thing,
    std::vector<NamedGroup>& groups,
    const std::string& group
) {
  if (find_membership(thing, group) != nullptr) {
    return {};
  }
  IOTCORE_ASSIGN(NamedGroup found, get_group(store_, group));
  IOTCORE_TRY(refuse_dynamic(found));
  for (const NamedGroup& other : groups) {
    if (root_of(other) == root_of(found)) {
      return fail(
          Errc::kInvalidRequest,
          "The thing is in thing group " + other.name +
              " already, which is in the same hierarchy as " + group
      );
    }
  }
  batch.expect_revision(keys::kRegistry, keys::thing_group(group), found.revision);
  record::GroupMembership membership;
  membership.set_group(group);
  membership.set_incarnation(incarnation_of(found.group.id()));
  add_membership(thing, std::move(membership));
  groups.push_back(std::move(found));
  return {};
}

// Static groups alone may never be too many. Dynamic ones give way only if they are told to; they are assigned anew when the thing is written.
Status GroupMembers::check_room(const record::Thing& thing, bool override_dynamic) const {
  const std::size_t max = options_.limits.groups_per_thing_max;
  const auto counted = std::count_if(
      thing.groups().begin(),
      thing.groups().end(),
      [override_dynamic](const auto& group) { return !group.dynamic() || !override_dynamic; }
  );
  if (static_cast<std::size_t>(counted) > max) {
    return fail(
        Errc::kInvalidRequest, "A thing can be in at most " + std::to_string(max) + " thing groups"
    );
  }
  return {};
}

Result<api::ListThingsInThingGroupResponse> GroupMembers::list_things(
    const api::ListThingsInThingGroupRequest& request
) {
  IOTCORE_ASSIGN(const NamedGroup found, get_group(store_, request.thing_group_name()));
  const auto prefix = request.recursive()
                          ? keys::things_below_group(found.group.ancestors(), found.name)
                          : keys::things_of_group(found.group.ancestors(), found.name);
  api::ListThingsInThingGroupResponse response;
  IOTCORE_TRY(read_page(
      store_,
      keys::kRegistry,
      prefix,
      request,
      response,
      [&response](const store::Entry& row) -> Status {
        response.add_things(last_segment_of(row.key));
        return {};
      }
  ));
  return response;
}

Result<api::ListThingGroupsForThingResponse> GroupMembers::list_groups(
    const api::ListThingGroupsForThingRequest& request
) {
  const std::string& thing = request.thing_name();
  IOTCORE_ASSIGN(
      const auto found,
      get_record<record::Thing>(store_, keys::kRegistry, keys::thing(thing), absent_thing(thing))
  );
  IOTCORE_ASSIGN(const std::vector<NamedGroup> groups, groups_of(store_, found.record));
  // There are few: they are read whole, and the token is the name of the last one shown.
  std::string after;
  if (request.has_next_token()) {
    IOTCORE_ASSIGN(after, name_in_token(kKind, request.next_token()));
  }
  const int wanted = request.has_max_results() ? request.max_results() : 250;
  api::ListThingGroupsForThingResponse response;
  for (const NamedGroup& group : groups) {
    if (group.name <= after) {
      continue;
    }
    if (response.thing_groups_size() == wanted) {
      response.set_next_token(list_token(kKind, response.thing_groups(wanted - 1).group_name()));
      break;
    }
    auto& out = *response.add_thing_groups();
    out.set_group_name(group.name);
    out.set_group_arn(options_.account.arn(kKind, group.name));
  }
  return response;
}

}  // namespace iotcore::registry
