#pragma once

#include "base/clock.h"
#include "proto/api/policies.pb.h"
#include "proto/record/principals.pb.h"
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
  // What is not attached, or not there, is detached already.
  Result<api::DetachPolicyResponse> detach(const api::DetachPolicyRequest& request);
  Result<api::ListAttachedPoliciesResponse> list_policies(
      const api::ListAttachedPoliciesRequest& request
  );
  Result<api::ListTargetsForPolicyResponse> list_targets(
      const api::ListTargetsForPolicyRequest& request
  );

 private:
  Status try_attach(const api::AttachPolicyRequest& request);
  Status try_detach(const api::DetachPolicyRequest& request);

  store::Store& store_;
  const Clock& clock_;
  const Options& options_;
};

}  // namespace iotcore::registry
