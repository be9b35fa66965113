#pragma once

#include "base/result.h"
#include "registry/arn.h"
#include "store/store.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace iotcore::registry {

// What a request calls by name, by ARN, or by both: its name. `kind` is that of the ARN ("thinggroup"), `what` that of the message ("thing group").
// kInvalidRequest: neither is given, the ARN is another one, or they contradict one another.
Result<std::string> name_or_arn(
    const Account& account,
    std::string_view kind,
    std::string_view what,
    std::string_view name,
    std::string_view arn
);

// kVersionConflict unless the version is the one expected.
Status check_version(
    std::string_view what,
    std::string_view name,
    std::int64_t version,
    bool expects,
    std::int64_t expected
);

// Commits what makes something new, whose row the batch expects to be absent: `taken` if it is not.
Status commit_new(store::Store& store, store::Batch batch, Error taken);

// kAlreadyExists, with the details that AWS gives.
Error already_exists(
    const Account& account, std::string_view kind, std::string_view what, std::string_view name
);

}  // namespace iotcore::registry
