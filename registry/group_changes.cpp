// What static and dynamic groups have in common.
#include "base/crypto.h"
#include "registry/keys.h"
#include "registry/page.h"
#include "registry/tags.h"
#include "registry/thing_attributes.h"
#include "registry/thing_groups.h"

namespace iotcore::registry {
namespace {

// Far above the limit of policies of one target.
constexpr std::size_t kPoliciesRead = 1000;

Status check_attributes(const api::ThingGroupProperties& properties, const Limits& limits) {
  const std::size_t count = properties.attribute_payload().attributes().size();
  if (count > limits.attributes_per_group_max) {
    return fail(
        Errc::kInvalidRequest,
        "A thing group can have at most " + std::to_string(limits.attributes_per_group_max) +
            " attributes, not " + std::to_string(count)
    );
  }
  return {};
}

void set_attributes(api::ThingGroupProperties& properties, const Attributes& attributes) {
  auto& out = *properties.mutable_attribute_payload();
  out.clear_merge();
  out.mutable_attributes()->clear();
  out.mutable_attributes()->insert(attributes.begin(), attributes.end());
}

}  // namespace

Result<record::ThingGroup> make_group(
    const Clock& clock, const Limits& limits, const api::ThingGroupProperties& properties
) {
  record::ThingGroup group;
  group.set_id(new_uuid());
  group.set_version(1);
  group.set_created_ms(to_epoch_ms(clock.wall()));
  group.mutable_properties();
  IOTCORE_TRY(update_properties(group, properties, limits));
  return group;
}

Status update_properties(
    record::ThingGroup& group, const api::ThingGroupProperties& given, const Limits& limits
) {
  api::ThingGroupProperties& properties = *group.mutable_properties();
  if (given.has_thing_group_description()) {
    properties.set_thing_group_description(given.thing_group_description());
  }
  if (given.has_attribute_payload()) {
    const api::AttributePayload& payload = given.attribute_payload();
    set_attributes(
        properties,
        with_update(
            to_attributes(properties.attribute_payload().attributes()),
            to_attributes(payload.attributes()),
            payload.merge()
        )
    );
  }
  return check_attributes(properties, limits);
}

bool same_properties(const api::ThingGroupProperties& a, const api::ThingGroupProperties& b) {
  return a.thing_group_description() == b.thing_group_description() &&
         to_attributes(a.attribute_payload().attributes()) ==
             to_attributes(b.attribute_payload().attributes());
}

Status erase_group(store::Store& store, store::Batch& batch, const NamedGroup& group) {
  const auto& ancestors = group.group.ancestors();
  const std::string parent = ancestors.empty() ? "" : *ancestors.rbegin();
  batch.expect_revision(keys::kRegistry, keys::thing_group(group.name), group.revision);
  batch.erase(keys::kRegistry, keys::thing_group(group.name));
  batch.erase(keys::kRegistry, keys::groups_of_parent(parent).text(group.name));
  batch.erase(keys::kRegistry, keys::group_by_way(ancestors, group.name));
  const auto things = keys::things_of_group(ancestors, group.name);
  // A thing that joins meanwhile expects the group's row as it was: one of the two is refused.
  IOTCORE_ASSIGN(const bool has_things, has_any(store, keys::kRegistry, things));
  if (has_things) {
    batch.erase_prefix(keys::kRegistry, things);
  }
  const std::string target = "thinggroup/" + group.name;
  IOTCORE_ASSIGN(
      const std::vector<store::Entry> attached,
      store.scan(keys::kPrincipals, keys::policies_of_target(target), {}, kPoliciesRead)
  );
  for (const store::Entry& row : attached) {
    batch.erase(keys::kPrincipals, row.key);
    batch.erase(keys::kPrincipals, keys::targets_of_policy(segment_of(row.key, 1)).text(target));
  }
  return Tags::erase(store, batch, target);
}

Status add_group_event(
    store::Store& store,
    Events& events,
    const Options& options,
    Change& change,
    const NamedGroup& named,
    std::string_view operation
) {
  if (!events.enabled(EventType::kThingGroup)) {
    return {};
  }
  const record::ThingGroup& group = named.group;
  json::object event = events.begin(EventType::kThingGroup, operation);
  event["thingGroupId"] = group.id();
  event["thingGroupName"] = named.name;
  event["versionNumber"] = group.version();
  event["parentGroupName"] = nullptr;
  event["parentGroupId"] = nullptr;
  event["description"] = group.properties().has_thing_group_description()
                             ? json::value(group.properties().thing_group_description())
                             : json::value();
  json::array way;
  for (const std::string& ancestor : group.ancestors()) {
    IOTCORE_ASSIGN(const NamedGroup found, get_group(store, ancestor));
    way.push_back(json::object{
        {"groupArn", options.account.arn("thinggroup", ancestor)}, {"groupId", found.group.id()}});
    event["parentGroupName"] = ancestor;
    event["parentGroupId"] = found.group.id();
  }
  event["rootToParentThingGroups"] = std::move(way);
  json::object attributes;
  for (const auto& [name, value] : group.properties().attribute_payload().attributes()) {
    attributes[name] = value;
  }
  event["attributes"] = std::move(attributes);
  event["dynamicGroupMappingId"] = group.has_query() ? json::value(group.id()) : json::value();
  const std::string_view verb = operation == "CREATED"   ? "/created"
                                : operation == "UPDATED" ? "/updated"
                                                         : "/deleted";
  events.add(change, "thingGroup/" + named.name + std::string(verb), event);
  return {};
}

}  // namespace iotcore::registry
