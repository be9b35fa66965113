#pragma once

#include "base/clock.h"
#include "proto/api/role_aliases.pb.h"
#include "proto/record/principals.pb.h"
#include "registry/options.h"
#include "registry/quotas.h"
#include "registry/rows.h"

#include <optional>
#include <string>
#include <string_view>

namespace iotcore::registry {

// The operations on role aliases. Requests have passed their bounds. Blocking; any thread.
class RoleAliases {
 public:
  RoleAliases(store::Store& store, const Clock& clock, const Options& options, Quota& quota)
      : store_(store), clock_(clock), options_(options), quota_(quota) {}

  // An existing name is kAlreadyExists. The role is one of this account: "arn:aws:iam::ACCOUNT:role/NAME".
  Result<api::CreateRoleAliasResponse> create(const api::CreateRoleAliasRequest& request);
  Result<api::DescribeRoleAliasResponse> describe(const api::DescribeRoleAliasRequest& request);
  Result<api::UpdateRoleAliasResponse> update(const api::UpdateRoleAliasRequest& request);
  Result<api::DeleteRoleAliasResponse> remove(const api::DeleteRoleAliasRequest& request);
  // By creation, newest first unless ascending_order.
  Result<api::ListRoleAliasesResponse> list(const api::ListRoleAliasesRequest& request);

  // kNotFound.
  Result<record::RoleAlias> find(const std::string& alias);

 private:
  store::Store& store_;
  const Clock& clock_;
  const Options& options_;
  Quota& quota_;
};

}  // namespace iotcore::registry
