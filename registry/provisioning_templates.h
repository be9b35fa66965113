#pragma once

#include "base/clock.h"
#include "proto/api/provisioning.pb.h"
#include "proto/record/provisioning.pb.h"
#include "registry/options.h"
#include "registry/quotas.h"
#include "registry/rows.h"

#include <string>

namespace iotcore::registry {

// The operations on provisioning templates and their versions. Requests have passed their bounds; bodies are parsed and checked here. Blocking; any
// thread.
class ProvisioningTemplates {
 public:
  ProvisioningTemplates(
      store::Store& store, const Clock& clock, const Options& options, Quota& quota
  )
      : store_(store), clock_(clock), options_(options), quota_(quota) {}

  // An existing name is kAlreadyExists.
  Result<api::CreateProvisioningTemplateResponse> create(
      const api::CreateProvisioningTemplateRequest& request
  );
  // With the body of the default version.
  Result<api::DescribeProvisioningTemplateResponse> describe(
      const api::DescribeProvisioningTemplateRequest& request
  );
  Result<api::UpdateProvisioningTemplateResponse> update(
      const api::UpdateProvisioningTemplateRequest& request
  );
  // With all its versions; kDeleteConflict while a CA certificate names it.
  Result<api::DeleteProvisioningTemplateResponse> remove(
      const api::DeleteProvisioningTemplateRequest& request
  );
  // By name.
  Result<api::ListProvisioningTemplatesResponse> list(
      const api::ListProvisioningTemplatesRequest& request
  );

  // kVersionsLimitExceeded with five there.
  Result<api::CreateProvisioningTemplateVersionResponse> create_version(
      const api::CreateProvisioningTemplateVersionRequest& request
  );
  Result<api::DescribeProvisioningTemplateVersionResponse> describe_version(
      const api::DescribeProvisioningTemplateVersionRequest& request
  );
  // kDeleteConflict for the default version.
  Result<api::DeleteProvisioningTemplateVersionResponse> remove_version(
      const api::DeleteProvisioningTemplateVersionRequest& request
  );
  // Newest first.
  Result<api::ListProvisioningTemplateVersionsResponse> list_versions(
      const api::ListProvisioningTemplateVersionsRequest& request
  );

  // What devices are provisioned by: the default version's body. kInvalidRequest if the template is not enabled.
  Result<std::string> body_in_use(const std::string& name);

 private:
  Result<Stored<record::ProvisioningTemplate>> read(const std::string& name);
  // Reads the template, lets `change` alter the record, writes it; again if another writer got in between.
  template <typename Change>
  Status change(const std::string& name, Change&& change);

  store::Store& store_;
  const Clock& clock_;
  const Options& options_;
  Quota& quota_;
};

// A CA certificate that names the template for its devices, from this batch on. The template's row is written again, so that deleting it conflicts with
// naming it. kNotFound; kInvalidRequest unless it is of type JITP.
Status name_template(
    store::Store& store, store::Batch& batch, const std::string& name, const std::string& ca
);
void unname_template(store::Batch& batch, const std::string& name, const std::string& ca);

}  // namespace iotcore::registry
