#pragma once

#include "base/clock.h"
#include "proto/api/policies.pb.h"
#include "registry/arn.h"
#include "registry/grants.h"
#include "registry/options.h"
#include "registry/rows.h"

#include <string>
#include <vector>

namespace iotcore::registry {

// What policies are in force for a principal, and what they would decide: by the same rules and the same compiled form as for connections. Requests have
// passed their bounds. Blocking; any thread.
class EffectivePolicies {
 public:
  EffectivePolicies(
      store::Store& store, const Clock& clock, const Options& options, GrantReader& grants
  )
      : store_(store), clock_(clock), options_(options), grants_(grants) {}

  // Of the principal, and of the thing's groups.
  Result<api::GetEffectivePoliciesResponse> list(const api::GetEffectivePoliciesRequest& request);
  // Whether the certificate is ACTIVE does not count, and no connection is needed: the client id says which thing would be associated.
  Result<api::TestAuthorizationResponse> test(const api::TestAuthorizationRequest& request);

 private:
  struct Subject;

  Result<Subject> subject_of(const api::TestAuthorizationRequest& request);
  Result<std::vector<std::string>> names_of(
      const Subject& subject, const api::TestAuthorizationRequest& request
  );
  Status check_policies_exist(const google::protobuf::RepeatedPtrField<std::string>& names);

  store::Store& store_;
  const Clock& clock_;
  const Options& options_;
  GrantReader& grants_;
};

}  // namespace iotcore::registry
