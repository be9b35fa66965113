#pragma once

#include "base/clock.h"
#include "proto/api/domain_configurations.pb.h"
#include "proto/record/principals.pb.h"
#include "registry/domain_table.h"
#include "registry/options.h"
#include "registry/quotas.h"
#include "registry/rows.h"

#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace iotcore::registry {

// The operations on domain configurations. Four of AWS's own are always there; callers cannot change them. Requests have passed their bounds. Blocking;
// any thread.
class DomainConfigurations {
 public:
  DomainConfigurations(
      store::Store& store,
      const Clock& clock,
      const Options& options,
      Quota& quota,
      DomainTable& table
  )
      : store_(store), clock_(clock), options_(options), quota_(quota), table_(table) {}

  // kAlreadyExists for a name, kInvalidRequest for a host that another one has, kLimitExceeded.
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
  // kInvalidRequest while ENABLED, and for AWS's own.
  Result<api::DeleteDomainConfigurationResponse> remove(
      const api::DeleteDomainConfigurationRequest& request
  );
  // By name, AWS's own behind the others.
  Result<api::ListDomainConfigurationsResponse> list(
      const api::ListDomainConfigurationsRequest& request
  );

 private:
  std::string arn(std::string_view name, const record::DomainConfiguration& record) const;
  api::DescribeDomainConfigurationResponse describe_managed(std::string_view name) const;

  store::Store& store_;
  const Clock& clock_;
  const Options& options_;
  Quota& quota_;
  DomainTable& table_;
  std::mutex creating_;  // one at a time, from the look at the others' hosts until they see its own
};

}  // namespace iotcore::registry
