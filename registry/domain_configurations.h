#pragma once

#include "base/clock.h"
#include "proto/api/domain_configurations.pb.h"
#include "proto/record/principals.pb.h"
#include "registry/options.h"
#include "registry/rows.h"

#include <optional>
#include <string>
#include <string_view>

namespace iotcore::registry {

// The operations on domain configurations. Four of AWS's own are always there; callers cannot change them. Requests have passed their bounds. Blocking;
// any thread.
class DomainConfigurations {
 public:
  DomainConfigurations(store::Store& store, const Clock& clock, const Options& options)
      : store_(store), clock_(clock), options_(options) {}

  // kAlreadyExists for a name, kInvalidRequest for a host that another one has.
  Result<api::CreateDomainConfigurationResponse> create(
      const api::CreateDomainConfigurationRequest& request
  );
  // Without the domain name of AWS's own, which only the server knows.
  Result<api::DescribeDomainConfigurationResponse> describe(
      const api::DescribeDomainConfigurationRequest& request
  );
  Result<api::UpdateDomainConfigurationResponse> update(
      const api::UpdateDomainConfigurationRequest& request
  );
  // kInvalidRequest while ENABLED.
  Result<api::DeleteDomainConfigurationResponse> remove(
      const api::DeleteDomainConfigurationRequest& request
  );
  // AWS's own first, then by name.
  Result<api::ListDomainConfigurationsResponse> list(
      const api::ListDomainConfigurationsRequest& request
  );

  // The one whose host a connection named (SNI), enabled or not; nothing if no configuration has it.
  Result<std::optional<record::DomainConfiguration>> find_by_host(std::string_view server_name);

 private:
  std::string arn(std::string_view name, const record::DomainConfiguration& record) const;
  Result<bool> host_is_taken(std::string_view host);
  api::DescribeDomainConfigurationResponse describe_managed(std::string_view name) const;

  store::Store& store_;
  const Clock& clock_;
  const Options& options_;
};

}  // namespace iotcore::registry
