#pragma once

#include "base/clock.h"
#include "proto/api/policies.pb.h"
#include "proto/record/principals.pb.h"
#include "registry/options.h"
#include "registry/quotas.h"
#include "registry/rows.h"

namespace iotcore::registry {

// The operations on policies and their versions. Requests have passed their bounds; documents are
// parsed here (kMalformedPolicy). Blocking; any thread.
class Policies {
 public:
  Policies(store::Store& store, const Clock& clock, const Options& options, Quota& quota)
      : store_(store), clock_(clock), options_(options), quota_(quota) {}

  // An existing name is kAlreadyExists, whatever the document.
  Result<api::CreatePolicyResponse> create(const api::CreatePolicyRequest& request);
  // With the document of the default version.
  Result<api::GetPolicyResponse> get(const api::GetPolicyRequest& request);
  // kDeleteConflict while it is attached anywhere or has versions besides the default one.
  Result<api::DeletePolicyResponse> remove(const api::DeletePolicyRequest& request);
  // By creation, newest first unless ascending_order.
  Result<api::ListPoliciesResponse> list(const api::ListPoliciesRequest& request);

  // kVersionsLimitExceeded beyond Limits::policy_versions_max.
  Result<api::CreatePolicyVersionResponse> create_version(
      const api::CreatePolicyVersionRequest& request
  );
  Result<api::GetPolicyVersionResponse> get_version(const api::GetPolicyVersionRequest& request);
  // kDeleteConflict for the default version.
  Result<api::DeletePolicyVersionResponse> remove_version(
      const api::DeletePolicyVersionRequest& request
  );
  Result<api::SetDefaultPolicyVersionResponse> set_default_version(
      const api::SetDefaultPolicyVersionRequest& request
  );
  // Newest first.
  Result<api::ListPolicyVersionsResponse> list_versions(
      const api::ListPolicyVersionsRequest& request
  );

 private:
  // Reads the policy, lets `change` alter the record, writes it; again if another writer got in
  // between.
  template <typename Change>
  Status change(const std::string& name, Change&& change);
  Result<Stored<record::Policy>> read(const std::string& name);
  Status try_remove(const std::string& name);

  store::Store& store_;
  const Clock& clock_;
  const Options& options_;
  Quota& quota_;
};

// The version of that id ("1", "2", …), or nullptr.
const record::Policy::Version* find_version(const record::Policy& policy, std::string_view id);
const record::Policy::Version* find_default_version(const record::Policy& policy);

}  // namespace iotcore::registry
