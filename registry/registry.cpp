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
      things_(store, clock, options_),
      thing_principals_(store, clock, options_),
      thing_types_(store, clock, options_),
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
  return commit(store_, std::move(batch));
}

}  // namespace iotcore::registry
