#include "registry/billing_groups.h"

#include "base/crypto.h"
#include "registry/group_rows.h"
#include "registry/keys.h"
#include "registry/named_resource.h"
#include "registry/page.h"
#include "registry/tags.h"

namespace iotcore::registry {
namespace {

constexpr std::string_view kKind = "billinggroup";
constexpr std::string_view kWhat = "billing group";

std::string absent(std::string_view group) {
  return "Billing group " + std::string(group) + " does not exist";
}

std::string absent_thing(std::string_view thing) {
  return "Thing " + std::string(thing) + " does not exist";
}

auto get_billing_group(store::Store& store, std::string_view name) {
  return get_record<record::BillingGroup>(
      store, keys::kRegistry, keys::billing_group(name), absent(name)
  );
}

}  // namespace

Result<record::GroupMembership> join_billing_group(
    store::Store& store, store::Batch& batch, std::string_view group
) {
  IOTCORE_ASSIGN(const auto found, get_billing_group(store, group));
  batch.expect_revision(keys::kRegistry, keys::billing_group(group), found.revision);
  record::GroupMembership membership;
  membership.set_group(std::string(group));
  membership.set_incarnation(incarnation_of(found.record.id()));
  return membership;
}

bool is_of_billing_group(const record::Thing& thing, const record::BillingGroup& group) {
  return incarnation_of(group.id()) == thing.billing_group().incarnation();
}

Result<bool> is_in_billing_group(store::Store& store, const record::Thing& thing) {
  if (!thing.has_billing_group()) {
    return false;
  }
  IOTCORE_ASSIGN(
      const auto found,
      find_record<record::BillingGroup>(
          store, keys::kRegistry, keys::billing_group(thing.billing_group().group())
      )
  );
  return found.has_value() && is_of_billing_group(thing, found->record);
}

Result<api::CreateBillingGroupResponse> BillingGroups::create(
    const api::CreateBillingGroupRequest& request
) {
  return until_no_conflict([&] { return try_create(request); });
}

Result<api::CreateBillingGroupResponse> BillingGroups::try_create(
    const api::CreateBillingGroupRequest& request
) {
  const std::string& name = request.billing_group_name();
  const auto key = keys::billing_group(name);
  const std::string arn = options_.account.arn(kKind, name);
  api::CreateBillingGroupResponse response;
  response.set_billing_group_name(name);
  response.set_billing_group_arn(arn);
  IOTCORE_ASSIGN(
      const auto existing, find_record<record::BillingGroup>(store_, keys::kRegistry, key)
  );
  if (existing) {
    if (existing->record.properties().billing_group_description() !=
        request.billing_group_properties().billing_group_description()) {
      return fail(already_exists(options_.account, kKind, kWhat, name));
    }
    response.set_billing_group_id(existing->record.id());
    return response;
  }
  record::BillingGroup group;
  group.set_id(new_uuid());
  group.set_version(1);
  group.set_created_ms(to_epoch_ms(clock_.wall()));
  *group.mutable_properties() = request.billing_group_properties();
  store::Batch batch;
  batch.expect_absent(keys::kRegistry, key);
  batch.put(keys::kRegistry, key, to_row(group));
  IOTCORE_TRY(Tags::put(batch, "billinggroup/" + name, request.tags()));
  IOTCORE_TRY(quota_.add([&] { return commit(store_, std::move(batch)); }));
  response.set_billing_group_id(group.id());
  return response;
}

Result<api::DescribeBillingGroupResponse> BillingGroups::describe(
    const api::DescribeBillingGroupRequest& request
) {
  const std::string& name = request.billing_group_name();
  IOTCORE_ASSIGN(const auto found, get_billing_group(store_, name));
  api::DescribeBillingGroupResponse response;
  response.set_billing_group_name(name);
  response.set_billing_group_id(found.record.id());
  response.set_billing_group_arn(options_.account.arn(kKind, name));
  response.set_version(found.record.version());
  *response.mutable_billing_group_properties() = found.record.properties();
  response.mutable_billing_group_metadata()->set_creation_date(found.record.created_ms());
  return response;
}

Result<api::UpdateBillingGroupResponse> BillingGroups::update(
    const api::UpdateBillingGroupRequest& request
) {
  IOTCORE_ASSIGN(const std::int64_t version, until_no_conflict([&] {
                   return try_update(request);
                 }));
  api::UpdateBillingGroupResponse response;
  response.set_version(version);
  return response;
}

Result<std::int64_t> BillingGroups::try_update(const api::UpdateBillingGroupRequest& request) {
  const std::string& name = request.billing_group_name();
  IOTCORE_ASSIGN(auto found, get_billing_group(store_, name));
  record::BillingGroup& group = found.record;
  IOTCORE_TRY(check_version(
      kWhat, name, group.version(), request.has_expected_version(), request.expected_version()
  ));
  group.mutable_properties()->MergeFrom(request.billing_group_properties());
  group.set_version(group.version() + 1);
  store::Batch batch;
  batch.expect_revision(keys::kRegistry, keys::billing_group(name), found.revision);
  batch.put(keys::kRegistry, keys::billing_group(name), to_row(group));
  IOTCORE_TRY(commit(store_, std::move(batch)));
  return group.version();
}

Result<api::DeleteBillingGroupResponse> BillingGroups::remove(
    const api::DeleteBillingGroupRequest& request
) {
  IOTCORE_TRY(until_no_conflict([&] { return try_remove(request); }));
  return api::DeleteBillingGroupResponse();
}

Status BillingGroups::try_remove(const api::DeleteBillingGroupRequest& request) {
  const std::string& name = request.billing_group_name();
  const auto key = keys::billing_group(name);
  IOTCORE_ASSIGN(const auto found, find_record<record::BillingGroup>(store_, keys::kRegistry, key));
  if (!found) {
    return {};
  }
  IOTCORE_TRY(check_version(
      kWhat,
      name,
      found->record.version(),
      request.has_expected_version(),
      request.expected_version()
  ));
  store::Batch batch;
  batch.expect_revision(keys::kRegistry, key, found->revision);
  batch.erase(keys::kRegistry, key);
  batch.erase_prefix(keys::kRegistry, keys::things_of_billing_group(name));
  IOTCORE_TRY(Tags::erase(store_, batch, "billinggroup/" + name));
  return quota_.remove([&] { return commit(store_, std::move(batch)); });
}

Result<api::ListBillingGroupsResponse> BillingGroups::list(
    const api::ListBillingGroupsRequest& request
) {
  api::ListBillingGroupsResponse response;
  IOTCORE_TRY(read_page(
      store_,
      keys::kRegistry,
      keys::billing_groups().rest(request.name_prefix_filter()),
      request,
      response,
      [&](const store::Entry& row) -> Status {
        auto& out = *response.add_billing_groups();
        out.set_group_name(segment_of(row.key, 0));
        out.set_group_arn(options_.account.arn(kKind, out.group_name()));
        return {};
      }
  ));
  return response;
}

Result<api::AddThingToBillingGroupResponse> BillingGroups::add_thing(
    const api::AddThingToBillingGroupRequest& request
) {
  IOTCORE_ASSIGN(
      const std::string group,
      name_or_arn(
          options_.account, kKind, kWhat, request.billing_group_name(), request.billing_group_arn()
      )
  );
  IOTCORE_ASSIGN(
      const std::string thing,
      name_or_arn(options_.account, "thing", "thing", request.thing_name(), request.thing_arn())
  );
  IOTCORE_TRY(until_no_conflict([&] { return try_move(thing, group, {}); }));
  return api::AddThingToBillingGroupResponse();
}

Result<api::RemoveThingFromBillingGroupResponse> BillingGroups::remove_thing(
    const api::RemoveThingFromBillingGroupRequest& request
) {
  IOTCORE_ASSIGN(
      const std::string group,
      name_or_arn(
          options_.account, kKind, kWhat, request.billing_group_name(), request.billing_group_arn()
      )
  );
  IOTCORE_ASSIGN(
      const std::string thing,
      name_or_arn(options_.account, "thing", "thing", request.thing_name(), request.thing_arn())
  );
  IOTCORE_TRY(get_billing_group(store_, group));
  IOTCORE_TRY(until_no_conflict([&] { return try_move(thing, {}, group); }));
  return api::RemoveThingFromBillingGroupResponse();
}

Status BillingGroups::try_move(
    std::string_view thing, std::string_view group, std::string_view from
) {
  IOTCORE_ASSIGN(
      const auto found,
      get_record<record::Thing>(store_, keys::kRegistry, keys::thing(thing), absent_thing(thing))
  );
  Change change;
  change.batch.expect_revision(keys::kRegistry, keys::thing(thing), found.revision);
  record::Thing after = found.record;
  if (!group.empty()) {
    IOTCORE_ASSIGN(*after.mutable_billing_group(), join_billing_group(store_, change.batch, group));
  } else if (found.record.billing_group().group() != from) {
    return {};
  } else {
    after.clear_billing_group();
  }
  IOTCORE_TRY(writer_.add(change, {thing, &found.record, &after}));
  return events_.commit(std::move(change));
}

Result<api::ListThingsInBillingGroupResponse> BillingGroups::list_things(
    const api::ListThingsInBillingGroupRequest& request
) {
  IOTCORE_TRY(get_billing_group(store_, request.billing_group_name()));
  api::ListThingsInBillingGroupResponse response;
  IOTCORE_TRY(read_page(
      store_,
      keys::kRegistry,
      keys::things_of_billing_group(request.billing_group_name()),
      request,
      response,
      [&](const store::Entry& row) -> Status {
        response.add_things(segment_of(row.key, 1));
        return {};
      }
  ));
  return response;
}

}  // namespace iotcore::registry
