#pragma once

#include "base/clock.h"
#include "proto/api/authorizers.pb.h"
#include "proto/record/principals.pb.h"
#include "registry/options.h"
#include "registry/quotas.h"
#include "registry/rows.h"

#include <optional>
#include <string>
#include <string_view>

namespace iotcore::registry {

// The operations on custom authorizers' records. Requests have passed their bounds. Blocking; any thread.
class Authorizers {
 public:
  Authorizers(store::Store& store, const Clock& clock, const Options& options, Quota& quota)
      : store_(store), clock_(clock), options_(options), quota_(quota) {}

  // An existing name is kAlreadyExists. Unless signing is disabled, tokens need a key name and one or two keys. INACTIVE unless it says otherwise. kLimitExceeded beyond Limits::authorizers_max.
  Result<api::CreateAuthorizerResponse> create(const api::CreateAuthorizerRequest& request);
  Result<api::DescribeAuthorizerResponse> describe(const api::DescribeAuthorizerRequest& request);
  Result<api::UpdateAuthorizerResponse> update(const api::UpdateAuthorizerRequest& request);
  // kDeleteConflict while it is ACTIVE or the default.
  Result<api::DeleteAuthorizerResponse> remove(const api::DeleteAuthorizerRequest& request);
  // By creation, newest first unless ascending_order.
  Result<api::ListAuthorizersResponse> list(const api::ListAuthorizersRequest& request);

  // In place of another; kAlreadyExists if it is the default already.
  Result<api::SetDefaultAuthorizerResponse> set_default(
      const api::SetDefaultAuthorizerRequest& request
  );
  Result<api::DescribeDefaultAuthorizerResponse> describe_default(
      const api::DescribeDefaultAuthorizerRequest& request
  );
  Result<api::ClearDefaultAuthorizerResponse> clear_default(
      const api::ClearDefaultAuthorizerRequest& request
  );

  // kNotFound.
  Result<record::Authorizer> find(std::string_view name);
  // The account's default, if there is one.
  Result<std::optional<std::string>> default_name();

 private:
  api::AuthorizerDescription description(const std::string& name, const record::Authorizer& record)
      const;

  store::Store& store_;
  const Clock& clock_;
  const Options& options_;
  Quota& quota_;
};

}  // namespace iotcore::registry
