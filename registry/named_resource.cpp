#include "registry/named_resource.h"

#include "registry/rows.h"

namespace iotcore::registry {

Result<std::string> name_or_arn(
    const Account& account,
    std::string_view kind,
    std::string_view what,
    std::string_view name,
    std::string_view arn
) {
  if (arn.empty()) {
    if (name.empty()) {
      return fail(
          Errc::kInvalidRequest,
          "The " + std::string(what) + " is neither named nor given by its ARN"
      );
    }
    return std::string(name);
  }
  const std::string prefix = account.arn(kind, "");
  if (!arn.starts_with(prefix) || arn.size() == prefix.size()) {
    return fail(
        Errc::kInvalidRequest,
        "Not the ARN of a " + std::string(what) + " of this account: expected " + prefix + "NAME"
    );
  }
  arn.remove_prefix(prefix.size());
  if (!name.empty() && name != arn) {
    return fail(
        Errc::kInvalidRequest,
        "The name of the " + std::string(what) + " and its ARN are of two different ones"
    );
  }
  return std::string(arn);
}

Status check_version(
    std::string_view what,
    std::string_view name,
    std::int64_t version,
    bool expects,
    std::int64_t expected
) {
  if (expects && expected != version) {
    return fail(
        Errc::kVersionConflict,
        "The expected version is " + std::to_string(expected) + ", " + std::string(what) + " " +
            std::string(name) + " is at version " + std::to_string(version)
    );
  }
  return {};
}

Status commit_new(store::Store& store, store::Batch batch, Error taken) {
  Status done = commit(store, std::move(batch));
  if (!done && done.error().code() == Errc::kRevisionConflict) {
    return fail(std::move(taken));
  }
  return done;
}

Error already_exists(
    const Account& account, std::string_view kind, std::string_view what, std::string_view name
) {
  return Error(
             Errc::kAlreadyExists,
             std::string(what) + " " + std::string(name) +
                 " already exists with different properties"
  )
      .with("resourceId", std::string(name))
      .with("resourceArn", account.arn(kind, name));
}

}  // namespace iotcore::registry
