#include "registry/registry.h"

#include "registry/keys.h"

#include <algorithm>

namespace iotcore::registry {

Registry::Registry(
    store::Store& store,
    const Clock& clock,
    Options options,
    const pki::CertificateAuthority& authority,
    Executor& pool
)
    : store_(store),
      options_(std::move(options)),
      quotas_(store, options_.limits),
      events_(store, clock, options_),
      tags_(store, options_),
      dynamic_membership_(store),
      thing_writer_(store, options_, dynamic_membership_, events_),
      things_(store, clock, options_, thing_writer_, events_),
      importer_(store, clock, options_, thing_writer_, events_),
      thing_principals_(store, clock, options_),
      thing_types_(store, clock, options_, quotas_.thing_types, events_),
      thing_groups_(store, clock, options_, quotas_.groups, events_),
      group_members_(store, options_, thing_writer_, events_),
      dynamic_groups_(store, clock, options_, quotas_, thing_writer_, events_, pool),
      billing_groups_(store, clock, options_, quotas_.billing_groups, thing_writer_, events_),
      logging_options_(store),
      certificates_(store, clock, options_, authority),
      certificate_registration_(store, clock, options_, authority),
      certificate_transfer_(store, clock, options_),
      ca_certificates_(store, clock, options_, quotas_.ca_certificates),
      policies_(store, clock, options_, quotas_.policies),
      policy_attachments_(store, clock, options_),
      provisioner_(
          {options_.account,
           things_,
           thing_principals_,
           certificates_,
           certificate_registration_,
           policies_,
           policy_attachments_}
      ),
      provisioning_templates_(store, clock, options_, quotas_.templates),
      thing_registration_(provisioner_, certificates_),
      authorizers_(store, clock, options_, quotas_.authorizers),
      domain_table_(store, pool),
      domain_configurations_(store, clock, options_, quotas_.domain_configurations, domain_table_),
      role_aliases_(store, clock, options_, quotas_.role_aliases),
      certificate_index_(store, clock, pool),
      grants_(store, clock, options_, &certificate_index_),
      effective_policies_(store, clock, options_, grants_),
      devices_(store, grants_, pool) {
  provisioner_.on_groups([this](
                             const std::string& thing,
                             const std::vector<std::string>& groups,
                             provisioning::Provisioner::Join join
                         ) { return join_groups(thing, groups, join); });
}

Result<std::vector<std::string>> Registry::join_groups(
    const std::string& thing,
    const std::vector<std::string>& groups,
    provisioning::Provisioner::Join join
) {
  IOTCORE_ASSIGN(
      const auto found,
      get_record<record::Thing>(
          store_, keys::kRegistry, keys::thing(thing), "Thing " + thing + " does not exist"
      )
  );
  IOTCORE_ASSIGN(const std::vector<NamedGroup> present, groups_of(store_, found.record));
  api::UpdateThingGroupsForThingRequest update;
  update.set_thing_name(thing);
  update.mutable_thing_groups_to_add()->Assign(groups.begin(), groups.end());
  std::vector<std::string> before;
  for (const NamedGroup& group : present) {
    if (group.group.has_query()) {
      continue;  // nobody is put into it, or out of it
    }
    before.push_back(group.name);
    if (join == provisioning::Provisioner::Join::kOnly &&
        std::find(groups.begin(), groups.end(), group.name) == groups.end()) {
      update.add_thing_groups_to_remove(group.name);
    }
  }
  IOTCORE_TRY(group_members_.update(update));
  return before;
}

void Registry::stop() {
  certificate_index_.stop();
  dynamic_groups_.stop();
}

Status Registry::wipe() {
  // Every key is above the empty one and below 0xFF (store/keys.h).
  store::Batch batch;
  batch.erase_range(keys::kRegistry, {}, "\xff");
  batch.erase_range(keys::kPrincipals, {}, "\xff");
  const Status wiped = commit(store_, std::move(batch));
  quotas_.forget();
  IOTCORE_TRY(wiped);
  IOTCORE_TRY(logging_options_.apply());
  return events_.load();
}

}  // namespace iotcore::registry
