#pragma once

#include "base/clock.h"
#include "proto/api/policies.pb.h"
#include "proto/record/principals.pb.h"
#include "registry/arn.h"
#include "registry/options.h"
#include "registry/rows.h"

namespace iotcore::registry {

// Which policies certificates and other targets have. Requests have passed their bounds. Blocking;
// any thread.
class PolicyAttachments {
 public:
  PolicyAttachments(store::Store& store, const Clock& clock, const Options& options)
      : store_(store), clock_(clock), options_(options) {}

  // Idempotent. kLimitExceeded beyond Limits::policies_per_target_max.
  Result<api::AttachPolicyResponse> attach(const api::AttachPolicyRequest& request);
  // `target`: an ARN or a Cognito identity id.
  Result<bool> is_attached(std::string_view policy, std::string_view target);
  // What is not attached, or not there, is detached already.
  Result<api::DetachPolicyResponse> detach(const api::DetachPolicyRequest& request);
  Result<api::ListAttachedPoliciesResponse> list_policies(
      const api::ListAttachedPoliciesRequest& request
  );
  Result<api::ListTargetsForPolicyResponse> list_targets(
      const api::ListTargetsForPolicyRequest& request
  );

  // The same by their older names, for certificates and Cognito identities.
  Result<api::AttachPrincipalPolicyResponse> attach_principal(
      const api::AttachPrincipalPolicyRequest& request
  );
  Result<api::DetachPrincipalPolicyResponse> detach_principal(
      const api::DetachPrincipalPolicyRequest& request
  );
  Result<api::ListPrincipalPoliciesResponse> list_principal_policies(
      const api::ListPrincipalPoliciesRequest& request
  );
  Result<api::ListPolicyPrincipalsResponse> list_principals(
      const api::ListPolicyPrincipalsRequest& request
  );

 private:
  Status try_attach(const std::string& policy, const Principal& target);
  Status try_detach(const std::string& policy, const Principal& target);
  Result<api::ListAttachedPoliciesResponse> list_inherited(
      const Principal& group, const api::ListAttachedPoliciesRequest& request
  );
  void add_policy(api::PolicySummary& out, const std::string& name) const;
  Result<Principal> parse_device(std::string_view principal) const;

  store::Store& store_;
  const Clock& clock_;
  const Options& options_;
};

}  // namespace iotcore::registry
