// The .proto files of the API, one line each: naming a message of a file is what links its
// descriptors into the program.
#include "gateway/operation_table.h"
#include "proto/api/access_keys.pb.h"
#include "proto/api/account.pb.h"
#include "proto/api/authorizers.pb.h"
#include "proto/api/backups.pb.h"
#include "proto/api/ca_certificates.pb.h"
#include "proto/api/certificates.pb.h"
#include "proto/api/client_traces.pb.h"
#include "proto/api/connections.pb.h"
#include "proto/api/data.pb.h"
#include "proto/api/domain_configurations.pb.h"
#include "proto/api/endpoint.pb.h"
#include "proto/api/imports.pb.h"
#include "proto/api/installation.pb.h"
#include "proto/api/policies.pb.h"
#include "proto/api/provisioning.pb.h"
#include "proto/api/role_aliases.pb.h"
#include "proto/api/rule_destinations.pb.h"
#include "proto/api/rule_operations.pb.h"
#include "proto/api/rules.pb.h"
#include "proto/api/thing_groups.pb.h"
#include "proto/api/things.pb.h"

#include <google/protobuf/descriptor.h>

#include <array>

namespace iotcore::gateway {

Result<std::unique_ptr<OperationTable>> OperationTable::of_api() {
  const std::array files = {
      api::CreateThingRequest::descriptor()->file(),
      api::CreateThingGroupRequest::descriptor()->file(),
      api::TagResourceRequest::descriptor()->file(),
      api::CreateKeysAndCertificateRequest::descriptor()->file(),
      api::RegisterCACertificateRequest::descriptor()->file(),
      api::CreatePolicyRequest::descriptor()->file(),
      api::CreateAccessKeyRequest::descriptor()->file(),
      api::ImportThingsRequest::descriptor()->file(),
      api::RotateCertificateAuthorityRequest::descriptor()->file(),
      api::CreateAuthorizerRequest::descriptor()->file(),
      api::CreateBackupRequest::descriptor()->file(),
      api::CreateRoleAliasRequest::descriptor()->file(),
      api::CreateProvisioningTemplateRequest::descriptor()->file(),
      api::CreateDomainConfigurationRequest::descriptor()->file(),
      api::CreateTopicRuleRequest::descriptor()->file(),
      api::CreateTopicRuleDestinationRequest::descriptor()->file(),
      api::ListSinksRequest::descriptor()->file(),
      api::DescribeEndpointRequest::descriptor()->file(),
      api::PublishRequest::descriptor()->file(),
      api::GetConnectionRequest::descriptor()->file(),
      api::TraceClientRequest::descriptor()->file(),
  };
  std::vector<const google::protobuf::ServiceDescriptor*> services;
  for (const auto* file : files) {
    for (int i = 0; i < file->service_count(); ++i) {
      services.push_back(file->service(i));
    }
  }
  IOTCORE_ASSIGN(std::unique_ptr<OperationTable> table, build(services));
  IOTCORE_TRY(table->add_others());
  return table;
}

}  // namespace iotcore::gateway
