#include "registry/thing_writer.h"

#include "base/crypto.h"
#include "registry/group_rows.h"
#include "registry/keys.h"

#include <string>

namespace iotcore::registry {
namespace {

using Write = ThingWriter::Write;

// Adds or takes away the rows by which things are found, from what `before` needs to what `after` needs.
void add_index_rows(
    store::Batch& batch,
    std::string_view name,
    const record::Thing& before,
    const record::Thing& after
) {
  for (const auto& [attribute, value] : before.attributes()) {
    const auto kept = after.attributes().find(attribute);
    if (kept == after.attributes().end() || kept->second != value) {
      batch.erase(keys::kRegistry, keys::things_with_value(attribute, value).text(name));
    }
  }
  for (const auto& [attribute, value] : after.attributes()) {
    const auto had = before.attributes().find(attribute);
    if (had == before.attributes().end() || had->second != value) {
      batch.put(keys::kRegistry, keys::things_with_value(attribute, value).text(name), {});
    }
  }
  if (before.has_type() != after.has_type() || before.type() != after.type()) {
    if (before.has_type()) {
      batch.erase(keys::kRegistry, keys::things_of_type(before.type()).text(name));
    }
    if (after.has_type()) {
      batch.put(keys::kRegistry, keys::things_of_type(after.type()).text(name), {});
    }
  }
  const std::string& old_billing = before.billing_group().group();
  const std::string& new_billing = after.billing_group().group();
  if (old_billing != new_billing ||
      before.billing_group().incarnation() != after.billing_group().incarnation()) {
    if (before.has_billing_group()) {
      batch.erase(keys::kRegistry, keys::things_of_billing_group(old_billing).text(name));
    }
    if (after.has_billing_group()) {
      batch.put(keys::kRegistry, keys::things_of_billing_group(new_billing).text(name), {});
    }
  }
}

bool same_membership(const record::GroupMembership& a, const record::GroupMembership* b) {
  return b != nullptr && a.incarnation() == b->incarnation();
}

// The same for joining and leaving.
std::string membership_id(const std::string& thing_id, const std::string& group_id) {
  std::string hex = to_hex(as_text(sha256(thing_id + '/' + group_id))).substr(0, 32);
  for (const std::size_t dash : {8, 13, 18, 23}) {
    hex.insert(dash, 1, '-');
  }
  return hex;
}

}  // namespace

Status ThingWriter::add(Change& change, const Write& write) {
  if (write.after == nullptr) {
    return add(change, write, DynamicMembership::Snapshot());  // whatever groups there are
  }
  IOTCORE_ASSIGN(const auto groups, dynamic_.current());
  groups->expect(change.batch);
  return add(change, write, *groups);
}

Status ThingWriter::add(
    Change& change, const Write& write, const DynamicMembership::Snapshot& groups
) {
  if (write.after != nullptr) {
    DynamicMembership::assign(
        groups, write.name, *write.after, options_.limits.groups_per_thing_max
    );
    change.batch.put(keys::kRegistry, keys::thing(write.name), to_row(*write.after));
  } else {
    change.batch.erase(keys::kRegistry, keys::thing(write.name));
  }
  static const record::Thing kNone;
  add_index_rows(
      change.batch,
      write.name,
      write.before != nullptr ? *write.before : kNone,
      write.after != nullptr ? *write.after : kNone
  );
  IOTCORE_TRY(add_group_rows(change, write));
  add_thing_events(change, write);
  return {};
}

Status ThingWriter::add_group_rows(Change& change, const Write& write) {
  if (write.before != nullptr) {
    for (const record::GroupMembership& membership : write.before->groups()) {
      const auto* kept =
          write.after != nullptr ? find_membership(*write.after, membership.group()) : nullptr;
      if (!same_membership(membership, kept)) {
        IOTCORE_TRY(add_membership(change, write, membership, false));
      }
    }
  }
  if (write.after != nullptr) {
    for (const record::GroupMembership& membership : write.after->groups()) {
      const auto* had =
          write.before != nullptr ? find_membership(*write.before, membership.group()) : nullptr;
      if (!same_membership(membership, had)) {
        IOTCORE_TRY(add_membership(change, write, membership, true));
      }
    }
  }
  return {};
}

Status ThingWriter::add_membership(
    Change& change, const Write& write, const record::GroupMembership& membership, bool added
) {
  IOTCORE_ASSIGN(const auto found, find_group(store_, membership.group()));
  if (!found || incarnation_of(found->group.id()) != membership.incarnation()) {
    return {};  // its rows went with the group
  }
  const auto key = keys::things_of_group(found->group.ancestors(), found->name).text(write.name);
  if (added) {
    // The group must still be there, and be this one, when the row is.
    change.batch.expect_revision(keys::kRegistry, keys::thing_group(found->name), found->revision);
    change.batch.put(keys::kRegistry, key, {});
  } else {
    change.batch.erase(keys::kRegistry, key);
  }
  if (events_.enabled(EventType::kThingGroupMembership)) {
    const record::Thing& thing = write.after != nullptr ? *write.after : *write.before;
    json::object event =
        events_.begin(EventType::kThingGroupMembership, added ? "ADDED" : "REMOVED");
    event["groupArn"] = options_.account.arn("thinggroup", found->name);
    event["groupId"] = found->group.id();
    event["thingArn"] = options_.account.arn("thing", write.name);
    event["thingId"] = thing.id();
    event["membershipId"] = membership_id(thing.id(), found->group.id());
    events_.add(
        change,
        "thingGroupMembership/thingGroup/" + found->name + "/thing/" + std::string(write.name) +
            (added ? "/added" : "/removed"),
        event
    );
  }
  return {};
}

void ThingWriter::add_thing_events(Change& change, const Write& write) {
  const std::string name(write.name);
  const record::Thing& thing = write.after != nullptr ? *write.after : *write.before;
  const bool created = write.before == nullptr;
  const bool deleted = write.after == nullptr;
  if (events_.enabled(EventType::kThing) &&
      (created || deleted || write.before->version() != write.after->version())) {
    json::object event = events_.begin(
        EventType::kThing,
        created   ? "CREATED"
        : deleted ? "DELETED"
                  : "UPDATED"
    );
    event["thingId"] = thing.id();
    event["thingName"] = name;
    event["versionNumber"] = thing.version();
    event["thingTypeName"] = thing.has_type() ? json::value(thing.type()) : json::value();
    json::object attributes;
    for (const auto& [attribute, value] : thing.attributes()) {
      attributes[attribute] = value;
    }
    event["attributes"] = std::move(attributes);
    events_.add(
        change,
        "thing/" + name +
            (created   ? "/created"
             : deleted ? "/deleted"
                       : "/updated"),
        event
    );
  }
  const std::string old_type = created ? std::string() : write.before->type();
  const std::string new_type = deleted ? std::string() : write.after->type();
  if (!events_.enabled(EventType::kThingTypeAssociation) || old_type == new_type) {
    return;
  }
  const auto add_association = [&](const std::string& type, bool added) {
    if (type.empty()) {
      return;
    }
    json::object event =
        events_.begin(EventType::kThingTypeAssociation, added ? "ADDED" : "REMOVED");
    event["thingId"] = thing.id();
    event["thingName"] = name;
    event["thingTypeName"] = type;
    events_.add(
        change,
        "thingTypeAssociation/thing/" + name + "/thingType/" + type +
            (added ? "/added" : "/removed"),
        event
    );
  };
  add_association(old_type, false);
  add_association(new_type, true);
}

}  // namespace iotcore::registry
