// How much of what the registry keeps.
#include "server/config_key_kinds.h"
#include "server/config_registry.h"

namespace iotcore::server {
namespace {

using registry::Limits;

struct LimitKey {
  const char* name;  // behind registry.limits.
  const char* help;
  std::size_t Limits::*at;
  std::size_t most = 10'000'000;
};

constexpr LimitKey kLimitKeys[] = {
    {"attributes", "Attributes of a thing that has a type.", &Limits::attributes_typed_max, 1000},
    {"attributes_untyped",
     "Attributes of a thing without a type.",
     &Limits::attributes_untyped_max,
     1000},
    {"thing_types", "Thing types.", &Limits::thing_types_max},
    {"policies", "Policies.", &Limits::policies_max},
    {"policies_per_target",
     "Policies attached to one certificate, group or identity.",
     &Limits::policies_per_target_max,
     1000},
    {"policy_versions", "Versions of one policy.", &Limits::policy_versions_max, 100},
    {"ca_certificates", "Registered CA certificates.", &Limits::ca_certificates_max},
    {"ca_certificates_per_subject",
     "Registered CA certificates with one subject.",
     &Limits::cas_per_subject_max,
     1000},
    {"authorizers", "Custom authorizers.", &Limits::authorizers_max},
    {"domain_configurations",
     "Domain configurations.",
     &Limits::domain_configurations_max,
     registry::kDomainConfigurationsMax},
    {"role_aliases", "Role aliases.", &Limits::role_aliases_max},
    {"templates", "Provisioning templates.", &Limits::templates_max},
    {"template_versions",
     "Versions of one provisioning template.",
     &Limits::template_versions_max,
     100},
    {"groups", "Thing groups, dynamic ones among them.", &Limits::groups_max},
    {"dynamic_groups",
     "Dynamic thing groups, each of which is asked with every change of a thing.",
     &Limits::dynamic_groups_max,
     10'000},
    {"groups_per_thing", "Thing groups that one thing is in.", &Limits::groups_per_thing_max, 100},
    {"group_depth", "Thing groups from a root to the lowest.", &Limits::group_depth_max, 100},
    {"child_groups",
     "Thing groups directly below one.",
     &Limits::children_per_group_max,
     1'000'000},
    {"group_attributes", "Attributes of one thing group.", &Limits::attributes_per_group_max, 1000},
    {"billing_groups", "Billing groups.", &Limits::billing_groups_max},
};

}  // namespace

std::vector<ConfigKey> registry_limit_keys() {
  std::vector<ConfigKey> keys;
  for (const LimitKey& limit : kLimitKeys) {
    keys.push_back(number_key<std::size_t>(
        std::string("registry.limits.") + limit.name,
        limit.help,
        [at = limit.at](Config& config) -> std::size_t& { return config.registry_limits.*at; },
        0,
        limit.most
    ));
  }
  return keys;
}

}  // namespace iotcore::server
