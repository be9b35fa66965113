#pragma once

#include "registry/arn.h"
#include "store/store.h"

#include <string>
#include <string_view>

namespace iotcore::registry {

// Writes the row again as it is, on the condition that it stays so until then (see keys.h on
// consistency). kNotFound, with `absent` as the message.
Status touch_row(
    store::Store& store,
    store::Batch& batch,
    store::Table table,
    std::string_view key,
    std::string_view absent
);

// The row of a certificate, a thing group or a user. Cognito identities and roles have none and need none.
Status touch_principal(store::Store& store, store::Batch& batch, const Principal& principal);
Status check_principal_exists(store::Store& store, const Principal& principal);

}  // namespace iotcore::registry
