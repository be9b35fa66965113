#include "server/all_operations.h"

#include "gateway/connection_operations.h"
#include "gateway/connectivity_operation.h"
#include "gateway/message_operations.h"
#include "gateway/retained_operations.h"
#include "gateway/shadow_operations.h"
#include "proto/api/account.pb.h"
#include "proto/api/authorizers.pb.h"
#include "proto/api/ca_certificates.pb.h"
#include "proto/api/certificates.pb.h"
#include "proto/api/domain_configurations.pb.h"
#include "proto/api/endpoint.pb.h"
#include "proto/api/imports.pb.h"
#include "proto/api/policies.pb.h"
#include "proto/api/provisioning.pb.h"
#include "proto/api/role_aliases.pb.h"
#include "proto/api/rule_destinations.pb.h"
#include "proto/api/rules.pb.h"
#include "proto/api/thing_groups.pb.h"
#include "proto/api/things.pb.h"
#include "registry/custom_authorizers.h"
#include "registry/endpoints.h"
#include "registry/registry.h"
#include "rules/destinations_api.h"
#include "rules/rules_api.h"
#include "server/client_trace_operations.h"

namespace iotcore::server {
namespace {

// A member function of `owner` as the handler of the operation whose request it takes.
template <typename Owner, typename Request, typename Response>
void add(
    gateway::OperationRegistry& operations,
    std::string_view name,
    Owner& owner,
    Result<Response> (Owner::*handler)(const Request&)
) {
  operations.add<Request, Response>(
      name,
      [&owner, handler](const gateway::CallContext&, const Request& request) {
        return (owner.*handler)(request);
      }
  );
}

void register_things(gateway::OperationRegistry& operations, registry::Registry& registry) {
  using registry::ThingPrincipals;
  using registry::Things;
  using registry::ThingTypes;
  add(operations, "CreateThing", registry.things(), &Things::create);
  operations.add_read<api::DescribeThingRequest, api::DescribeThingResponse>(
      "DescribeThing",
      [&registry](const api::DescribeThingRequest& request) {
        return registry.things().describe_cached(request);
      },
      [&registry](const gateway::CallContext&, const api::DescribeThingRequest& request) {
        return registry.things().describe(request);
      }
  );
  add(operations, "UpdateThing", registry.things(), &Things::update);
  add(operations, "DeleteThing", registry.things(), &Things::remove);
  add(operations, "ListThings", registry.things(), &Things::list);
  add(operations, "ImportThings", registry.importer(), &registry::Importer::import);
  add(operations, "AttachThingPrincipal", registry.thing_principals(), &ThingPrincipals::attach);
  add(operations, "DetachThingPrincipal", registry.thing_principals(), &ThingPrincipals::detach);
  add(operations,
      "ListThingPrincipals",
      registry.thing_principals(),
      &ThingPrincipals::list_principals);
  add(operations, "ListPrincipalThings", registry.thing_principals(), &ThingPrincipals::list_things
  );
  add(operations,
      "ListThingPrincipalsV2",
      registry.thing_principals(),
      &ThingPrincipals::list_principals_v2);
  add(operations,
      "ListPrincipalThingsV2",
      registry.thing_principals(),
      &ThingPrincipals::list_things_v2);
  add(operations, "CreateThingType", registry.thing_types(), &ThingTypes::create);
  add(operations, "UpdateThingType", registry.thing_types(), &ThingTypes::update);
  add(operations, "DescribeThingType", registry.thing_types(), &ThingTypes::describe);
  add(operations, "ListThingTypes", registry.thing_types(), &ThingTypes::list);
  add(operations, "DeprecateThingType", registry.thing_types(), &ThingTypes::deprecate);
  add(operations, "DeleteThingType", registry.thing_types(), &ThingTypes::remove);
}

void register_groups(gateway::OperationRegistry& operations, registry::Registry& registry) {
  using registry::BillingGroups;
  using registry::DynamicGroups;
  using registry::GroupMembers;
  using registry::ThingGroups;
  ThingGroups& groups = registry.thing_groups();
  add(operations, "CreateThingGroup", groups, &ThingGroups::create);
  add(operations, "DescribeThingGroup", groups, &ThingGroups::describe);
  add(operations, "UpdateThingGroup", groups, &ThingGroups::update);
  add(operations, "DeleteThingGroup", groups, &ThingGroups::remove);
  add(operations, "ListThingGroups", groups, &ThingGroups::list);
  GroupMembers& members = registry.group_members();
  add(operations, "AddThingToThingGroup", members, &GroupMembers::add);
  add(operations, "RemoveThingFromThingGroup", members, &GroupMembers::remove);
  add(operations, "UpdateThingGroupsForThing", members, &GroupMembers::update);
  add(operations, "ListThingsInThingGroup", members, &GroupMembers::list_things);
  add(operations, "ListThingGroupsForThing", members, &GroupMembers::list_groups);
  DynamicGroups& dynamic = registry.dynamic_groups();
  add(operations, "CreateDynamicThingGroup", dynamic, &DynamicGroups::create);
  add(operations, "UpdateDynamicThingGroup", dynamic, &DynamicGroups::update);
  add(operations, "DeleteDynamicThingGroup", dynamic, &DynamicGroups::remove);
  BillingGroups& billing = registry.billing_groups();
  add(operations, "CreateBillingGroup", billing, &BillingGroups::create);
  add(operations, "DescribeBillingGroup", billing, &BillingGroups::describe);
  add(operations, "UpdateBillingGroup", billing, &BillingGroups::update);
  add(operations, "DeleteBillingGroup", billing, &BillingGroups::remove);
  add(operations, "ListBillingGroups", billing, &BillingGroups::list);
  add(operations, "AddThingToBillingGroup", billing, &BillingGroups::add_thing);
  add(operations, "RemoveThingFromBillingGroup", billing, &BillingGroups::remove_thing);
  add(operations, "ListThingsInBillingGroup", billing, &BillingGroups::list_things);
}

void register_account(gateway::OperationRegistry& operations, registry::Registry& registry) {
  using registry::Events;
  using registry::LoggingOptions;
  using registry::Tags;
  add(operations, "TagResource", registry.tags(), &Tags::tag);
  add(operations, "UntagResource", registry.tags(), &Tags::untag);
  add(operations, "ListTagsForResource", registry.tags(), &Tags::list);
  add(operations, "DescribeEventConfigurations", registry.events(), &Events::describe);
  add(operations, "UpdateEventConfigurations", registry.events(), &Events::update);
  LoggingOptions& logging = registry.logging_options();
  add(operations, "SetV2LoggingOptions", logging, &LoggingOptions::set_v2);
  add(operations, "GetV2LoggingOptions", logging, &LoggingOptions::get_v2);
  add(operations, "SetV2LoggingLevel", logging, &LoggingOptions::set_level);
  add(operations, "DeleteV2LoggingLevel", logging, &LoggingOptions::delete_level);
  add(operations, "ListV2LoggingLevels", logging, &LoggingOptions::list_levels);
  add(operations, "SetLoggingOptions", logging, &LoggingOptions::set);
  add(operations, "GetLoggingOptions", logging, &LoggingOptions::get);
}

void register_certificates(gateway::OperationRegistry& operations, registry::Registry& registry) {
  using registry::Certificates;
  Certificates& certificates = registry.certificates();
  add(operations, "CreateKeysAndCertificate", certificates, &Certificates::create_keys);
  add(operations, "CreateCertificateFromCsr", certificates, &Certificates::create_from_csr);
  add(operations, "DescribeCertificate", certificates, &Certificates::describe);
  add(operations, "UpdateCertificate", certificates, &Certificates::update);
  add(operations, "DeleteCertificate", certificates, &Certificates::remove);
  add(operations, "ListCertificates", certificates, &Certificates::list);
  using registry::CertificateRegistration;
  CertificateRegistration& registration = registry.certificate_registration();
  add(operations, "RegisterCertificate", registration, &CertificateRegistration::register_of_ca);
  add(operations,
      "RegisterCertificateWithoutCA",
      registration,
      &CertificateRegistration::register_without_ca);
  using registry::CertificateTransfer;
  CertificateTransfer& transfer = registry.certificate_transfer();
  add(operations, "TransferCertificate", transfer, &CertificateTransfer::offer);
  add(operations, "AcceptCertificateTransfer", transfer, &CertificateTransfer::accept);
  add(operations, "RejectCertificateTransfer", transfer, &CertificateTransfer::reject);
  add(operations, "CancelCertificateTransfer", transfer, &CertificateTransfer::cancel);
  add(operations, "ListOutgoingCertificates", transfer, &CertificateTransfer::list);
}

void register_ca_certificates(
    gateway::OperationRegistry& operations, registry::Registry& registry
) {
  using registry::CaCertificates;
  CaCertificates& cas = registry.ca_certificates();
  add(operations, "RegisterCACertificate", cas, &CaCertificates::add);
  add(operations, "DescribeCACertificate", cas, &CaCertificates::describe);
  add(operations, "UpdateCACertificate", cas, &CaCertificates::update);
  add(operations, "DeleteCACertificate", cas, &CaCertificates::remove);
  add(operations, "ListCACertificates", cas, &CaCertificates::list);
  add(operations, "ListCertificatesByCA", cas, &CaCertificates::list_certificates);
  add(operations, "GetRegistrationCode", cas, &CaCertificates::registration_code);
  add(operations, "DeleteRegistrationCode", cas, &CaCertificates::delete_registration_code);
}

void register_policies(gateway::OperationRegistry& operations, registry::Registry& registry) {
  using registry::Policies;
  using registry::PolicyAttachments;
  Policies& policies = registry.policies();
  PolicyAttachments& attachments = registry.policy_attachments();
  add(operations, "CreatePolicy", policies, &Policies::create);
  add(operations, "GetPolicy", policies, &Policies::get);
  add(operations, "DeletePolicy", policies, &Policies::remove);
  add(operations, "ListPolicies", policies, &Policies::list);
  add(operations, "CreatePolicyVersion", policies, &Policies::create_version);
  add(operations, "GetPolicyVersion", policies, &Policies::get_version);
  add(operations, "DeletePolicyVersion", policies, &Policies::remove_version);
  add(operations, "SetDefaultPolicyVersion", policies, &Policies::set_default_version);
  add(operations, "ListPolicyVersions", policies, &Policies::list_versions);
  add(operations, "AttachPolicy", attachments, &PolicyAttachments::attach);
  add(operations, "DetachPolicy", attachments, &PolicyAttachments::detach);
  add(operations, "ListAttachedPolicies", attachments, &PolicyAttachments::list_policies);
  add(operations, "ListTargetsForPolicy", attachments, &PolicyAttachments::list_targets);
  add(operations, "AttachPrincipalPolicy", attachments, &PolicyAttachments::attach_principal);
  add(operations, "DetachPrincipalPolicy", attachments, &PolicyAttachments::detach_principal);
  add(operations, "ListPrincipalPolicies", attachments, &PolicyAttachments::list_principal_policies
  );
  add(operations, "ListPolicyPrincipals", attachments, &PolicyAttachments::list_principals);
  using registry::EffectivePolicies;
  add(operations, "GetEffectivePolicies", registry.effective_policies(), &EffectivePolicies::list);
  add(operations, "TestAuthorization", registry.effective_policies(), &EffectivePolicies::test);
}

void register_authorizers(gateway::OperationRegistry& operations, registry::Registry& registry) {
  using registry::Authorizers;
  Authorizers& authorizers = registry.authorizers();
  add(operations, "CreateAuthorizer", authorizers, &Authorizers::create);
  add(operations, "DescribeAuthorizer", authorizers, &Authorizers::describe);
  add(operations, "UpdateAuthorizer", authorizers, &Authorizers::update);
  add(operations, "DeleteAuthorizer", authorizers, &Authorizers::remove);
  add(operations, "ListAuthorizers", authorizers, &Authorizers::list);
  add(operations, "SetDefaultAuthorizer", authorizers, &Authorizers::set_default);
  add(operations, "DescribeDefaultAuthorizer", authorizers, &Authorizers::describe_default);
  add(operations, "ClearDefaultAuthorizer", authorizers, &Authorizers::clear_default);
}

void register_domains(
    gateway::OperationRegistry& operations,
    registry::Registry& registry,
    const EndpointName& endpoint
) {
  using registry::DomainConfigurations;
  DomainConfigurations& domains = registry.domain_configurations();
  add(operations, "CreateDomainConfiguration", domains, &DomainConfigurations::create);
  operations.add<api::DescribeDomainConfigurationRequest, api::DescribeDomainConfigurationResponse>(
      "DescribeDomainConfiguration",
      [&domains, &endpoint](
          const gateway::CallContext&, const api::DescribeDomainConfigurationRequest& request
      ) {
        auto response = domains.describe(request);
        if (response && response->domain_type() == "ENDPOINT") {
          response->set_domain_name(endpoint.address());
        }
        return response;
      }
  );
  add(operations, "UpdateDomainConfiguration", domains, &DomainConfigurations::update);
  add(operations, "DeleteDomainConfiguration", domains, &DomainConfigurations::remove);
  add(operations, "ListDomainConfigurations", domains, &DomainConfigurations::list);
}

void register_role_aliases(gateway::OperationRegistry& operations, registry::Registry& registry) {
  using registry::RoleAliases;
  RoleAliases& aliases = registry.role_aliases();
  add(operations, "CreateRoleAlias", aliases, &RoleAliases::create);
  add(operations, "DescribeRoleAlias", aliases, &RoleAliases::describe);
  add(operations, "UpdateRoleAlias", aliases, &RoleAliases::update);
  add(operations, "DeleteRoleAlias", aliases, &RoleAliases::remove);
  add(operations, "ListRoleAliases", aliases, &RoleAliases::list);
}

void register_provisioning(gateway::OperationRegistry& operations, registry::Registry& registry) {
  using registry::ProvisioningTemplates;
  ProvisioningTemplates& templates = registry.provisioning_templates();
  add(operations, "CreateProvisioningTemplate", templates, &ProvisioningTemplates::create);
  add(operations, "DescribeProvisioningTemplate", templates, &ProvisioningTemplates::describe);
  add(operations, "UpdateProvisioningTemplate", templates, &ProvisioningTemplates::update);
  add(operations, "DeleteProvisioningTemplate", templates, &ProvisioningTemplates::remove);
  add(operations, "ListProvisioningTemplates", templates, &ProvisioningTemplates::list);
  add(operations,
      "CreateProvisioningTemplateVersion",
      templates,
      &ProvisioningTemplates::create_version);
  add(operations,
      "DescribeProvisioningTemplateVersion",
      templates,
      &ProvisioningTemplates::describe_version);
  add(operations,
      "DeleteProvisioningTemplateVersion",
      templates,
      &ProvisioningTemplates::remove_version);
  add(operations,
      "ListProvisioningTemplateVersions",
      templates,
      &ProvisioningTemplates::list_versions);
  add(operations,
      "RegisterThing",
      registry.thing_registration(),
      &registry::ThingRegistration::register_thing);
}

// A function of the rules engine as the handler of the operation whose request it takes.
template <typename Request, typename Response>
void add(
    gateway::OperationRegistry& operations,
    std::string_view name,
    rules::Engine& engine,
    Result<Response> (*handler)(rules::Engine&, const Request&)
) {
  operations.add<Request, Response>(
      name,
      [&engine, handler](const gateway::CallContext&, const Request& request) {
        return handler(engine, request);
      }
  );
}

void register_rules(gateway::OperationRegistry& operations, rules::Engine& engine) {
  add(operations, "CreateTopicRule", engine, &rules::create_topic_rule);
  add(operations, "ReplaceTopicRule", engine, &rules::replace_topic_rule);
  add(operations, "GetTopicRule", engine, &rules::get_topic_rule);
  add(operations, "ListTopicRules", engine, &rules::list_topic_rules);
  add(operations, "EnableTopicRule", engine, &rules::enable_topic_rule);
  add(operations, "DisableTopicRule", engine, &rules::disable_topic_rule);
  add(operations, "DeleteTopicRule", engine, &rules::delete_topic_rule);
  add(operations, "CreateTopicRuleDestination", engine, &rules::create_topic_rule_destination);
  add(operations, "GetTopicRuleDestination", engine, &rules::get_topic_rule_destination);
  add(operations, "ListTopicRuleDestinations", engine, &rules::list_topic_rule_destinations);
  add(operations, "UpdateTopicRuleDestination", engine, &rules::update_topic_rule_destination);
  add(operations, "DeleteTopicRuleDestination", engine, &rules::delete_topic_rule_destination);
  add(operations, "ConfirmTopicRuleDestination", engine, &rules::confirm_topic_rule_destination);
}

// Rules keep their tags themselves, as rule files say them too.
void keep_tags_of_rules(registry::Tags& tags, rules::Engine& engine) {
  using ByKey = registry::Tags::ByKey;
  tags.add_keeper(
      "rule",
      {[&engine](std::string_view name) -> Result<ByKey> {
         const auto rule = engine.catalog().get(name);
         if (!rule) {
           return fail(Errc::kNotFound, "Rule '" + std::string(name) + "' does not exist");
         }
         return ByKey(rule->definition.tags.begin(), rule->definition.tags.end());
       },
       [&engine](std::string_view name, const std::function<Status(ByKey&)>& change) {
         return engine.catalog().change_tags(name, change);
       }}
  );
}

}  // namespace

void register_operations(gateway::OperationRegistry& operations, const OperationOwners& owners) {
  register_things(operations, owners.registry);
  register_groups(operations, owners.registry);
  register_account(operations, owners.registry);
  register_certificates(operations, owners.registry);
  register_ca_certificates(operations, owners.registry);
  register_policies(operations, owners.registry);
  register_authorizers(operations, owners.registry);
  add(operations,
      "TestInvokeAuthorizer",
      owners.custom_authorizers,
      &registry::CustomAuthorizers::test);
  register_domains(operations, owners.registry, owners.endpoint);
  register_role_aliases(operations, owners.registry);
  register_provisioning(operations, owners.registry);
  register_rules(operations, owners.rules);
  keep_tags_of_rules(owners.registry.tags(), owners.rules);
  operations.add<api::DescribeEndpointRequest, api::DescribeEndpointResponse>(
      "DescribeEndpoint",
      [&endpoint = owners.endpoint](
          const gateway::CallContext&, const api::DescribeEndpointRequest& request
      ) {
        const std::string address = endpoint.address();
        return registry::describe_endpoint({address, address, address}, request);
      }
  );
  gateway::register_message_operations(
      operations, owners.broker, owners.pool, owners.http_authorizer
  );
  gateway::register_connection_operations(
      operations, owners.broker, owners.pool, owners.http_authorizer
  );
  register_client_trace_operations(operations, owners.broker);
  gateway::register_connectivity_operation(operations, owners.broker, owners.registry, owners.pool);
  gateway::register_retained_operations(operations, owners.broker, owners.http_authorizer);
  gateway::register_shadow_operations(
      operations, owners.shadows, owners.http_authorizer, owners.pool
  );
}

}  // namespace iotcore::server