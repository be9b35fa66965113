#include "registry/thing_groups.h"

#include "registry/keys.h"
#include "registry/named_resource.h"
#include "registry/page.h"
#include "registry/tags.h"

#include <utility>

namespace iotcore::registry {
namespace {

constexpr std::string_view kKind = "thinggroup";
constexpr std::string_view kWhat = "thing group";
// How many groups one page may look at when a filter drops most of them; the page is then short, with a token.
constexpr std::size_t kFilteredRowsMax = 2000;

std::string_view status_name(record::ThingGroup::Query::Status status) {
  switch (status) {
    case record::ThingGroup::Query::BUILDING:
      return "BUILDING";
    case record::ThingGroup::Query::REBUILDING:
      return "REBUILDING";
    default:
      return "ACTIVE";
  }
}

}  // namespace

Result<api::CreateThingGroupResponse> ThingGroups::create(
    const api::CreateThingGroupRequest& request
) {
  return until_no_conflict([&] { return try_create(request); });
}

Result<api::CreateThingGroupResponse> ThingGroups::try_create(
    const api::CreateThingGroupRequest& request
) {
  const std::string& name = request.thing_group_name();
  const std::string& parent = request.parent_group_name();
  IOTCORE_ASSIGN(
      record::ThingGroup group,
      make_group(clock_, options_.limits, request.thing_group_properties())
  );
  api::CreateThingGroupResponse response;
  response.set_thing_group_name(name);
  response.set_thing_group_arn(options_.account.arn(kKind, name));
  IOTCORE_ASSIGN(const auto existing, find_group(store_, name));
  if (existing) {
    const auto& ancestors = existing->group.ancestors();
    if (existing->group.has_query() ||
        (ancestors.empty() ? std::string() : *ancestors.rbegin()) != parent ||
        !same_properties(existing->group.properties(), group.properties())) {
      return fail(already_exists(options_.account, kKind, "Thing group", name));
    }
    response.set_thing_group_id(existing->group.id());
    return response;
  }
  Change change;
  if (!parent.empty()) {
    IOTCORE_TRY(add_parent(change, group, parent));
  }
  const NamedGroup named{name, group, {}};
  change.batch.expect_absent(keys::kRegistry, keys::thing_group(name));
  change.batch.put(keys::kRegistry, keys::thing_group(name), to_row(group));
  change.batch.put(keys::kRegistry, keys::groups_of_parent(parent).text(name), {});
  change.batch.put(keys::kRegistry, keys::group_by_way(group.ancestors(), name), {});
  IOTCORE_TRY(Tags::put(change.batch, "thinggroup/" + name, request.tags()));
  IOTCORE_TRY(add_group_event(store_, events_, options_, change, named, "CREATED"));
  IOTCORE_TRY(add_hierarchy_event(change, name, group, true));
  IOTCORE_TRY(quota_.add([&] { return events_.commit(std::move(change)); }));
  response.set_thing_group_id(group.id());
  return response;
}

// Puts the group below its parent, whose row is written again: deleting the parent conflicts with that.
Status ThingGroups::add_parent(
    Change& change, record::ThingGroup& group, const std::string& parent
) {
  IOTCORE_ASSIGN(const auto found, find_group(store_, parent));
  if (!found) {
    // CreateThingGroup models no ResourceNotFound.
    return fail(Errc::kInvalidRequest, "Parent " + absent_group(parent));
  }
  if (found->group.has_query()) {
    return fail(Errc::kInvalidRequest, "A dynamic thing group has no child groups");
  }
  *group.mutable_ancestors() = found->group.ancestors();
  group.add_ancestors(parent);
  const Limits& limits = options_.limits;
  if (static_cast<std::size_t>(group.ancestors_size()) >= limits.group_depth_max) {
    return fail(
        Errc::kInvalidRequest,
        "Thing groups can be nested at most " + std::to_string(limits.group_depth_max) + " deep"
    );
  }
  IOTCORE_ASSIGN(
      const std::vector<store::Entry> children,
      store_.scan(
          keys::kRegistry, keys::groups_of_parent(parent), {}, limits.children_per_group_max
      )
  );
  if (children.size() >= limits.children_per_group_max) {
    return fail(
        Errc::kInvalidRequest,
        "A thing group can have at most " + std::to_string(limits.children_per_group_max) +
            " child groups"
    );
  }
  change.batch.expect_revision(keys::kRegistry, keys::thing_group(parent), found->revision);
  change.batch.put(keys::kRegistry, keys::thing_group(parent), to_row(found->group));
  return {};
}

Status ThingGroups::add_hierarchy_event(
    Change& change, std::string_view name, const record::ThingGroup& group, bool added
) {
  if (group.ancestors().empty() || !events_.enabled(EventType::kThingGroupHierarchy)) {
    return {};
  }
  IOTCORE_ASSIGN(const NamedGroup parent, get_group(store_, *group.ancestors().rbegin()));
  json::object event = events_.begin(EventType::kThingGroupHierarchy, added ? "ADDED" : "REMOVED");
  event["thingGroupId"] = parent.group.id();
  event["thingGroupName"] = parent.name;
  event["childGroupId"] = group.id();
  event["childGroupName"] = name;
  events_.add(
      change,
      "thingGroupHierarchy/thingGroup/" + parent.name + "/childThingGroup/" + std::string(name) +
          (added ? "/added" : "/removed"),
      event
  );
  return {};
}

Result<api::DescribeThingGroupResponse> ThingGroups::describe(
    const api::DescribeThingGroupRequest& request
) {
  IOTCORE_ASSIGN(NamedGroup found, get_group(store_, request.thing_group_name()));
  record::ThingGroup& group = found.group;
  api::DescribeThingGroupResponse response;
  response.set_thing_group_name(found.name);
  response.set_thing_group_id(group.id());
  response.set_thing_group_arn(options_.account.arn(kKind, found.name));
  response.set_version(group.version());
  response.mutable_thing_group_properties()->Swap(group.mutable_properties());
  api::ThingGroupMetadata& metadata = *response.mutable_thing_group_metadata();
  metadata.set_creation_date(group.created_ms());
  for (const std::string& ancestor : group.ancestors()) {
    auto& out = *metadata.add_root_to_parent_thing_groups();
    out.set_group_name(ancestor);
    out.set_group_arn(options_.account.arn(kKind, ancestor));
    metadata.set_parent_group_name(ancestor);
  }
  if (group.has_query()) {
    response.set_index_name(group.query().index());
    response.set_query_string(group.query().text());
    response.set_query_version(group.query().version());
    response.set_status(std::string(status_name(group.query().status())));
  }
  return response;
}

Result<api::UpdateThingGroupResponse> ThingGroups::update(
    const api::UpdateThingGroupRequest& request
) {
  IOTCORE_ASSIGN(const std::int64_t version, until_no_conflict([&] {
                   return try_update(request);
                 }));
  api::UpdateThingGroupResponse response;
  response.set_version(version);
  return response;
}

Result<std::int64_t> ThingGroups::try_update(const api::UpdateThingGroupRequest& request) {
  IOTCORE_ASSIGN(NamedGroup found, get_group(store_, request.thing_group_name()));
  record::ThingGroup& group = found.group;
  if (group.has_query()) {
    return fail(
        Errc::kInvalidRequest, found.name + " is a dynamic thing group: use UpdateDynamicThingGroup"
    );
  }
  IOTCORE_TRY(check_version(
      kWhat, found.name, group.version(), request.has_expected_version(), request.expected_version()
  ));
  IOTCORE_TRY(update_properties(group, request.thing_group_properties(), options_.limits));
  group.set_version(group.version() + 1);
  Change change;
  const auto key = keys::thing_group(found.name);
  change.batch.expect_revision(keys::kRegistry, key, found.revision);
  change.batch.put(keys::kRegistry, key, to_row(group));
  IOTCORE_TRY(add_group_event(store_, events_, options_, change, found, "UPDATED"));
  IOTCORE_TRY(events_.commit(std::move(change)));
  return group.version();
}

Result<api::DeleteThingGroupResponse> ThingGroups::remove(
    const api::DeleteThingGroupRequest& request
) {
  IOTCORE_TRY(until_no_conflict([&] { return try_remove(request); }));
  return api::DeleteThingGroupResponse();
}

Status ThingGroups::try_remove(const api::DeleteThingGroupRequest& request) {
  const std::string& name = request.thing_group_name();
  IOTCORE_ASSIGN(const auto found, find_group(store_, name));
  if (!found) {
    return {};
  }
  if (found->group.has_query()) {
    return fail(
        Errc::kInvalidRequest, name + " is a dynamic thing group: use DeleteDynamicThingGroup"
    );
  }
  IOTCORE_TRY(check_version(
      kWhat,
      name,
      found->group.version(),
      request.has_expected_version(),
      request.expected_version()
  ));
  IOTCORE_ASSIGN(
      const bool has_children, has_any(store_, keys::kRegistry, keys::groups_of_parent(name))
  );
  if (has_children) {
    return fail(
        Errc::kInvalidRequest,
        // Terraform tries again when it reads that.
        "Cannot delete thing group " + name + " when there are still child groups attached to it"
    );
  }
  Change change;
  IOTCORE_TRY(erase_group(store_, change.batch, *found));
  IOTCORE_TRY(add_group_event(store_, events_, options_, change, *found, "DELETED"));
  IOTCORE_TRY(add_hierarchy_event(change, name, found->group, false));
  return quota_.remove([&] { return events_.commit(std::move(change)); });
}

Result<api::ListThingGroupsResponse> ThingGroups::list(const api::ListThingGroupsRequest& request) {
  const bool recursive = !request.has_recursive() || request.recursive();
  const std::string& parent = request.parent_group();
  api::ListThingGroupsResponse response;
  std::optional<NamedGroup> found;
  if (request.has_parent_group()) {
    IOTCORE_ASSIGN(found, get_group(store_, parent));
  }
  if (recursive && found) {
    IOTCORE_TRY(list_descendants(request, *found, response));
    return response;
  }
  const auto prefix = recursive ? keys::thing_groups() : keys::groups_of_parent(parent);
  IOTCORE_TRY(read_page(
      store_,
      keys::kRegistry,
      store::Key(prefix).rest(request.name_prefix_filter()),
      request,
      response,
      [&](const store::Entry& row) -> Status {
        auto& out = *response.add_thing_groups();
        out.set_group_name(last_segment_of(row.key));
        out.set_group_arn(options_.account.arn(kKind, out.group_name()));
        return {};
      }
  ));
  return response;
}

Status ThingGroups::list_descendants(
    const api::ListThingGroupsRequest& request,
    const NamedGroup& parent,
    api::ListThingGroupsResponse& response
) {
  const std::string prefix = keys::group_by_way(parent.group.ancestors(), parent.name).take();
  IOTCORE_ASSIGN(
      PageRequest page,
      PageRequest::make(
          keys::kRegistry,
          prefix,
          optional_text(request.has_next_token(), request.next_token()),
          optional_size(request.has_max_results(), request.max_results())
      )
  );
  const std::size_t wanted = page.size();
  PageReader reader(store_, std::move(page));
  std::size_t looked_at = 0;
  do {
    // Never more rows than still fit: the token stands behind the last row looked at.
    IOTCORE_ASSIGN(
        const std::vector<store::Entry> rows,
        reader.next(wanted - static_cast<std::size_t>(response.thing_groups_size()))
    );
    looked_at += rows.size();
    for (const store::Entry& row : rows) {
      const std::string name = last_segment_of(row.key);
      if (row.key != prefix && name.starts_with(request.name_prefix_filter())) {
        auto& out = *response.add_thing_groups();
        out.set_group_name(name);
        out.set_group_arn(options_.account.arn(kKind, name));
      }
    }
  } while (reader.token() && static_cast<std::size_t>(response.thing_groups_size()) < wanted &&
           looked_at < kFilteredRowsMax);
  if (reader.token()) {
    response.set_next_token(*reader.token());
  }
  return {};
}

}  // namespace iotcore::registry
