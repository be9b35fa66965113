#pragma once

#include "base/function.h"
#include "registry/certificate_registration.h"
#include "registry/certificates.h"
#include "registry/policies.h"
#include "registry/policy_attachments.h"
#include "registry/provisioning/template.h"
#include "registry/thing_principals.h"
#include "registry/things.h"

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace iotcore::registry::provisioning {

// What a template has made: ARNs by logical name.
struct Provisioned {
  std::string certificate_id;
  std::string thing_name;
  std::map<std::string, std::string> arns;
};

// Makes what an evaluated template says. If it fails half-way, what this run has made is taken back, and what it has changed is as it was, but for versions;
// unless somebody else has changed it meanwhile, whose change stays. Blocking; any thread.
class Provisioner {
 public:
  struct Parts {
    const Account& account;
    Things& things;
    ThingPrincipals& thing_principals;
    Certificates& certificates;
    CertificateRegistration& registration;
    Policies& policies;
    PolicyAttachments& attachments;
  };

  // Into groups beside those that a thing is in, or out of all others.
  enum class Join : std::uint8_t { kToo, kOnly };

  // Puts a thing into static groups; answers in which it was.
  using JoinGroups = Function<Result<std::vector<std::string>>(
      const std::string& thing, const std::vector<std::string>& groups, Join join
  )>;

  explicit Provisioner(Parts parts) : parts_(parts) {}

  // Before the first apply().
  void on_groups(JoinGroups join) { join_groups_ = std::move(join); }

  // kNotFound, kConflictingResourceUpdate, kInvalidRequest and what the registry says.
  Result<Provisioned> apply(const Resources& resources);

 private:
  struct Run;

  Status make_certificate(Run& run, const CertificateResource& certificate);
  Status make_policies(Run& run, const std::vector<PolicyResource>& policies);
  Status make_thing(Run& run, const ThingResource& thing);
  Status change_thing(
      Run& run, const ThingResource& wanted, const api::DescribeThingResponse& present
  );
  Status attach_thing(Run& run, const std::string& thing, bool exclusive);
  Status attach_policy(Run& run, const std::string& policy);
  Status set_status(Run& run, const CertificateResource& certificate);
  Status run_all(Run& run, const Resources& resources);

  Parts parts_;
  JoinGroups join_groups_;
};

}  // namespace iotcore::registry::provisioning
