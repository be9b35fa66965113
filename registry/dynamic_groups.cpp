#include "registry/dynamic_groups.h"

#include "base/log.h"
#include "registry/keys.h"
#include "registry/named_resource.h"
#include "registry/page.h"
#include "registry/tags.h"
#include "registry/thing_groups.h"

#include <algorithm>
#include <utility>

namespace iotcore::registry {
namespace {

constexpr std::string_view kKind = "thinggroup";
constexpr std::string_view kWhat = "dynamic thing group";
constexpr std::string_view kIndex = "AWS_Things";
// Things that one task looks at, and that one commit may write.
constexpr std::size_t kBuildPage = 500;

Status check_request(std::string_view index, std::string_view version, std::string_view query) {
  if (!index.empty() && index != kIndex) {
    return fail(
        Errc::kInvalidRequest, "Dynamic thing groups are of the index " + std::string(kIndex)
    );
  }
  if (!version.empty() && version != query::kVersion) {
    return fail(
        Errc::kInvalidRequest,
        "The only version of the query language is " + std::string(query::kVersion)
    );
  }
  if (!query.empty()) {
    IOTCORE_TRY(query::Query::parse(query));
  }
  return {};
}

bool same_groups(const record::Thing& a, const record::Thing& b) {
  return std::equal(
      a.groups().begin(),
      a.groups().end(),
      b.groups().begin(),
      b.groups().end(),
      [](const auto& left, const auto& right) {
        return left.group() == right.group() && left.incarnation() == right.incarnation();
      }
  );
}

// Things that are written from now on are refused until they are held against the new state of all queries.
void touch_guard(store::Batch& batch) {
  batch.put(keys::kRegistry, keys::dynamic_groups_guard(), {});
}

}  // namespace

Status DynamicGroups::start() {
  IOTCORE_ASSIGN(
      const std::vector<store::Entry> rows,
      store_.scan(
          keys::kRegistry, keys::dynamic_groups(), {}, options_.limits.dynamic_groups_max + 1
      )
  );
  for (const store::Entry& row : rows) {
    IOTCORE_ASSIGN(const auto found, find_group(store_, segment_of(row.key, 0)));
    if (found && found->group.query().status() != record::ThingGroup::Query::ACTIVE) {
      begin_build(*found);
    }
  }
  return {};
}

Result<api::CreateDynamicThingGroupResponse> DynamicGroups::create(
    const api::CreateDynamicThingGroupRequest& request
) {
  IOTCORE_TRY(check_request(request.index_name(), request.query_version(), request.query_string()));
  return until_no_conflict([&] { return try_create(request); });
}

Result<api::CreateDynamicThingGroupResponse> DynamicGroups::try_create(
    const api::CreateDynamicThingGroupRequest& request
) {
  const std::string& name = request.thing_group_name();
  IOTCORE_ASSIGN(
      record::ThingGroup group,
      make_group(clock_, options_.limits, request.thing_group_properties())
  );
  record::ThingGroup::Query& query = *group.mutable_query();
  query.set_text(request.query_string());
  query.set_version(std::string(query::kVersion));
  query.set_index(std::string(kIndex));
  query.set_status(record::ThingGroup::Query::BUILDING);

  api::CreateDynamicThingGroupResponse response;
  response.set_thing_group_name(name);
  response.set_thing_group_arn(options_.account.arn(kKind, name));
  response.set_index_name(query.index());
  response.set_query_string(query.text());
  response.set_query_version(query.version());
  IOTCORE_ASSIGN(const auto existing, find_group(store_, name));
  if (existing) {
    if (!existing->group.has_query() || existing->group.query().text() != query.text() ||
        !same_properties(existing->group.properties(), group.properties())) {
      return fail(already_exists(options_.account, kKind, "Thing group", name));
    }
    response.set_thing_group_id(existing->group.id());
    return response;
  }
  const NamedGroup named{name, group, {}};
  Change change;
  change.batch.expect_absent(keys::kRegistry, keys::thing_group(name));
  change.batch.put(keys::kRegistry, keys::thing_group(name), to_row(group));
  change.batch.put(keys::kRegistry, keys::groups_of_parent({}).text(name), {});
  change.batch.put(keys::kRegistry, keys::group_by_way(group.ancestors(), name), {});
  change.batch.put(keys::kRegistry, keys::dynamic_group(name), {});
  touch_guard(change.batch);
  IOTCORE_TRY(Tags::put(change.batch, "thinggroup/" + name, request.tags()));
  IOTCORE_TRY(add_group_event(store_, events_, options_, change, named, "CREATED"));
  const auto create = [&] { return events_.commit(std::move(change)); };
  IOTCORE_TRY(quotas_.dynamic_groups.add([&] { return quotas_.groups.add(create); }));
  begin_build(named);
  response.set_thing_group_id(group.id());
  return response;
}

Result<api::UpdateDynamicThingGroupResponse> DynamicGroups::update(
    const api::UpdateDynamicThingGroupRequest& request
) {
  IOTCORE_TRY(check_request(request.index_name(), request.query_version(), request.query_string()));
  IOTCORE_ASSIGN(const NamedGroup group, until_no_conflict([&] { return try_update(request); }));
  if (group.group.query().status() != record::ThingGroup::Query::ACTIVE) {
    begin_build(group);
  }
  api::UpdateDynamicThingGroupResponse response;
  response.set_version(group.group.version());
  return response;
}

Result<NamedGroup> DynamicGroups::try_update(const api::UpdateDynamicThingGroupRequest& request) {
  IOTCORE_ASSIGN(NamedGroup found, get_group(store_, request.thing_group_name()));
  record::ThingGroup& group = found.group;
  if (!group.has_query()) {
    return fail(Errc::kInvalidRequest, found.name + " is no dynamic thing group");
  }
  IOTCORE_TRY(check_version(
      kWhat, found.name, group.version(), request.has_expected_version(), request.expected_version()
  ));
  IOTCORE_TRY(update_properties(group, request.thing_group_properties(), options_.limits));
  group.set_version(group.version() + 1);
  Change change;
  const auto key = keys::thing_group(found.name);
  change.batch.expect_revision(keys::kRegistry, key, found.revision);
  if (request.has_query_string() && request.query_string() != group.query().text()) {
    group.mutable_query()->set_text(request.query_string());
    group.mutable_query()->set_status(record::ThingGroup::Query::REBUILDING);
    group.mutable_query()->set_edition(group.query().edition() + 1);
    touch_guard(change.batch);
  }
  change.batch.put(keys::kRegistry, key, to_row(group));
  IOTCORE_TRY(add_group_event(store_, events_, options_, change, found, "UPDATED"));
  IOTCORE_TRY(events_.commit(std::move(change)));
  return found;
}

Result<api::DeleteDynamicThingGroupResponse> DynamicGroups::remove(
    const api::DeleteDynamicThingGroupRequest& request
) {
  IOTCORE_TRY(until_no_conflict([&] { return try_remove(request); }));
  return api::DeleteDynamicThingGroupResponse();
}

Status DynamicGroups::try_remove(const api::DeleteDynamicThingGroupRequest& request) {
  IOTCORE_ASSIGN(const auto found, find_group(store_, request.thing_group_name()));
  if (!found) {
    return {};
  }
  if (!found->group.has_query()) {
    return fail(Errc::kInvalidRequest, found->name + " is no dynamic thing group");
  }
  IOTCORE_TRY(check_version(
      kWhat,
      found->name,
      found->group.version(),
      request.has_expected_version(),
      request.expected_version()
  ));
  Change change;
  IOTCORE_TRY(erase_group(store_, change.batch, *found));
  change.batch.erase(keys::kRegistry, keys::dynamic_group(found->name));
  touch_guard(change.batch);
  IOTCORE_TRY(add_group_event(store_, events_, options_, change, *found, "DELETED"));
  const auto remove = [&] { return events_.commit(std::move(change)); };
  return quotas_.dynamic_groups.remove([&] { return quotas_.groups.remove(remove); });
}

void DynamicGroups::begin_build(const NamedGroup& group) {
  Build build{group.name, group.group.id(), group.group.query().edition(), {}};
  pool_.post([this, build = std::move(build)]() mutable { build_page(std::move(build)); });
}

void DynamicGroups::build_page(Build build) {
  if (stopped_) {
    return;
  }
  bool at_end = false;
  Status done = try_build_page(build, at_end);
  if (done && at_end) {
    done = until_no_conflict([&] { return finish_build(build); });
  }
  if (!done) {
    // The next start goes on with it; until then the things that were not reached join when they are written.
    log(LogLevel::kError,
        "dynamic_group.build_failed",
        {{"group", build.group}, {"why", done.error().message()}});
    return;
  }
  if (!at_end) {
    pool_.post([this, build = std::move(build)]() mutable { build_page(std::move(build)); });
  }
}

Status DynamicGroups::try_build_page(Build& build, bool& at_end) {
  IOTCORE_ASSIGN(const auto group, find_group(store_, build.group));
  if (!group || group->group.id() != build.id || group->group.query().edition() != build.edition) {
    at_end = true;  // gone, or another build is on its way
    return {};
  }
  IOTCORE_ASSIGN(
      const std::vector<store::Entry> rows,
      store_.scan(keys::kRegistry, keys::things(), build.from, kBuildPage)
  );
  at_end = rows.size() < kBuildPage;
  if (rows.empty()) {
    return {};
  }
  build.from = store::key_after(rows.back().key);
  const Status together = write_anew(rows);
  if (together || together.error().code() != Errc::kRevisionConflict) {
    return together;
  }
  // Somebody else has written one of them: one by one then.
  for (const store::Entry& row : rows) {
    IOTCORE_TRY(until_no_conflict([&]() -> Status {
      IOTCORE_ASSIGN(auto now, store_.get(keys::kRegistry, row.key));
      if (!now) {
        return {};
      }
      return write_anew({store::Entry{row.key, std::move(now->value), now->revision}});
    }));
  }
  return {};
}

// Writes those of the things again whose memberships of dynamic groups are not what they should be.
Status DynamicGroups::write_anew(const std::vector<store::Entry>& rows) {
  IOTCORE_ASSIGN(const auto snapshot, writer_.dynamic().current());
  Change change;
  for (const store::Entry& row : rows) {
    const std::string name = segment_of(row.key, 0);
    IOTCORE_ASSIGN(const auto before, parse_record<record::Thing>(row.value));
    record::Thing after = before;
    DynamicMembership::assign(*snapshot, name, after, options_.limits.groups_per_thing_max);
    if (same_groups(before, after)) {
      continue;
    }
    change.batch.expect_revision(keys::kRegistry, row.key, row.revision);
    IOTCORE_TRY(writer_.add(change, {name, &before, &after}, *snapshot));
  }
  if (change.batch.empty()) {
    return {};
  }
  snapshot->expect(change.batch);
  return events_.commit(std::move(change));
}

Status DynamicGroups::finish_build(const Build& build) {
  IOTCORE_ASSIGN(auto found, find_group(store_, build.group));
  if (!found || found->group.id() != build.id || found->group.query().edition() != build.edition) {
    return {};
  }
  found->group.mutable_query()->set_status(record::ThingGroup::Query::ACTIVE);
  store::Batch batch;
  const auto key = keys::thing_group(build.group);
  batch.expect_revision(keys::kRegistry, key, found->revision);
  batch.put(keys::kRegistry, key, to_row(found->group));
  return commit(store_, std::move(batch));
}

}  // namespace iotcore::registry
