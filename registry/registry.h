#pragma once

#include "registry/authorizers.h"
#include "registry/billing_groups.h"
#include "registry/ca_certificates.h"
#include "registry/certificate_index.h"
#include "registry/certificate_registration.h"
#include "registry/certificate_transfer.h"
#include "registry/certificates.h"
#include "registry/domain_configurations.h"
#include "registry/dynamic_groups.h"
#include "registry/effective_policies.h"
#include "registry/endpoints.h"
#include "registry/events.h"
#include "registry/grants.h"
#include "registry/group_members.h"
#include "registry/importer.h"
#include "registry/live_devices.h"
#include "registry/logging_options.h"
#include "registry/options.h"
#include "registry/policies.h"
#include "registry/policy_attachments.h"
#include "registry/provisioning/provisioner.h"
#include "registry/provisioning_templates.h"
#include "registry/quotas.h"
#include "registry/role_aliases.h"
#include "registry/tags.h"
#include "registry/thing_groups.h"
#include "registry/thing_principals.h"
#include "registry/thing_registration.h"
#include "registry/thing_types.h"
#include "registry/thing_writer.h"
#include "registry/things.h"

namespace iotcore::registry {

// All of the registry over one store. Blocking operations; any thread. Everything it is given outlives it; `pool`, which runs what blocks, has come to
// rest before it is destroyed.
class Registry {
 public:
  Registry(
      store::Store& store,
      const Clock& clock,
      Options options,
      const pki::CertificateAuthority& authority,
      Executor& pool
  );

  const Options& options() const { return options_; }

  Things& things() { return things_; }

  ThingPrincipals& thing_principals() { return thing_principals_; }

  ThingTypes& thing_types() { return thing_types_; }

  ThingGroups& thing_groups() { return thing_groups_; }

  GroupMembers& group_members() { return group_members_; }

  DynamicGroups& dynamic_groups() { return dynamic_groups_; }

  BillingGroups& billing_groups() { return billing_groups_; }

  Importer& importer() { return importer_; }

  Tags& tags() { return tags_; }

  Events& events() { return events_; }

  LoggingOptions& logging_options() { return logging_options_; }

  Certificates& certificates() { return certificates_; }

  CertificateRegistration& certificate_registration() { return certificate_registration_; }

  CertificateTransfer& certificate_transfer() { return certificate_transfer_; }

  CaCertificates& ca_certificates() { return ca_certificates_; }

  Policies& policies() { return policies_; }

  PolicyAttachments& policy_attachments() { return policy_attachments_; }

  provisioning::Provisioner& provisioner() { return provisioner_; }

  ProvisioningTemplates& provisioning_templates() { return provisioning_templates_; }

  ThingRegistration& thing_registration() { return thing_registration_; }

  Authorizers& authorizers() { return authorizers_; }

  DomainConfigurations& domain_configurations() { return domain_configurations_; }

  const DomainTable& domains() const { return domain_table_; }

  RoleAliases& role_aliases() { return role_aliases_; }

  EffectivePolicies& effective_policies() { return effective_policies_; }

  GrantReader& grants() { return grants_; }

  CertificateIndex& certificate_index() { return certificate_index_; }

  // What DeviceAuthorizer and HttpAuthorizer decide by.
  LiveDevices& devices() { return devices_; }

  // Before the pool comes to rest: what goes through all certificates or things page by page ends at its next one. Any thread.
  void stop();

  // Empties the account: everything but access keys and the CA. Devices that are connected lose their rights.
  Status wipe();

 private:
  // Answers which static groups the thing was in.
  Result<std::vector<std::string>> join_groups(
      const std::string& thing,
      const std::vector<std::string>& groups,
      provisioning::Provisioner::Join join
  );

  store::Store& store_;
  const Options options_;
  Quotas quotas_;
  Events events_;
  Tags tags_;
  DynamicMembership dynamic_membership_;
  ThingWriter thing_writer_;
  Things things_;
  Importer importer_;
  ThingPrincipals thing_principals_;
  ThingTypes thing_types_;
  ThingGroups thing_groups_;
  GroupMembers group_members_;
  DynamicGroups dynamic_groups_;
  BillingGroups billing_groups_;
  LoggingOptions logging_options_;
  Certificates certificates_;
  CertificateRegistration certificate_registration_;
  CertificateTransfer certificate_transfer_;
  CaCertificates ca_certificates_;
  Policies policies_;
  PolicyAttachments policy_attachments_;
  provisioning::Provisioner provisioner_;
  ProvisioningTemplates provisioning_templates_;
  ThingRegistration thing_registration_;
  Authorizers authorizers_;
  DomainTable domain_table_;
  DomainConfigurations domain_configurations_;
  RoleAliases role_aliases_;
  CertificateIndex certificate_index_;
  GrantReader grants_;
  EffectivePolicies effective_policies_;
  LiveDevices devices_;
};

}  // namespace iotcore::registry
