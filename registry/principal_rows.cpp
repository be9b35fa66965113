#include "registry/principal_rows.h"

#include "registry/keys.h"

namespace iotcore::registry {
namespace {

std::string absent(const Principal& principal) {
  const bool group = principal.kind == Principal::Kind::kThingGroup;
  const bool user = principal.kind == Principal::Kind::kUser;
  return (group  ? "Thing group "
          : user ? "User "
                 : "Certificate ") +
         std::string(principal.name()) + " does not exist";
}

}  // namespace

Status touch_row(
    store::Store& store,
    store::Batch& batch,
    store::Table table,
    std::string_view key,
    std::string_view absent
) {
  IOTCORE_ASSIGN(const std::optional<store::Row> row, store.get(table, key));
  if (!row) {
    return fail(Errc::kNotFound, std::string(absent));
  }
  batch.expect_revision(table, key, row->revision);
  batch.put(table, key, row->value);
  return {};
}

Status touch_principal(store::Store& store, store::Batch& batch, const Principal& principal) {
  switch (principal.kind) {
    case Principal::Kind::kCertificate:
      return touch_row(
          store, batch, keys::kPrincipals, keys::certificate(principal.name()), absent(principal)
      );
    case Principal::Kind::kThingGroup:
      return touch_row(
          store, batch, keys::kRegistry, keys::thing_group(principal.name()), absent(principal)
      );
    case Principal::Kind::kUser:
      return touch_row(
          store, batch, keys::kSystem, keys::user(principal.name()), absent(principal)
      );
    case Principal::Kind::kCognito:
    case Principal::Kind::kRole:
      return {};
  }
  return {};
}

Status check_principal_exists(store::Store& store, const Principal& principal) {
  // A batch that goes nowhere.
  store::Batch batch;
  return touch_principal(store, batch, principal);
}

}  // namespace iotcore::registry
