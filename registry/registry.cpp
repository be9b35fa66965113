#include "registry/registry.h"

#include "registry/keys.h"

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
      events_(store, clock, options_),
      tags_(store, options_),
      dynamic_membership_(store),
      thing_writer_(store, options_, dynamic_membership_, events_),
      things_(store, clock, options_, thing_writer_, events_),
      thing_principals_(store, clock, options_),
      thing_types_(store, clock, options_, events_),
      thing_groups_(store, clock, options_, events_),
      group_members_(store, options_, thing_writer_, events_),
      dynamic_groups_(store, clock, options_, thing_writer_, events_, pool),
      billing_groups_(store, clock, options_, thing_writer_, events_),
      logging_options_(store),
      certificates_(store, clock, options_, authority),
      policies_(store, clock, options_),
      policy_attachments_(store, clock, options_),
      grants_(store, clock, options_),
      devices_(store, grants_, pool) {}

Status Registry::wipe() {
  // Every key is above the empty one and below 0xFF (store/keys.h).
  store::Batch batch;
  batch.erase_range(keys::kRegistry, {}, "\xff");
  batch.erase_range(keys::kPrincipals, {}, "\xff");
  IOTCORE_TRY(commit(store_, std::move(batch)));
  return events_.load();
}

}  // namespace iotcore::registry
