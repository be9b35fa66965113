#pragma once

#include "registry/policy/document.h"

#include <chrono>
#include <cstddef>

namespace iotcore::registry {

// How much of what there may be: registry.limits. The defaults are AWS's quotas for what one resource has, and for how many there are
// what a server keeps without noticing: nobody's own machine needs AWS's 10 domain configurations.
struct Limits {
  std::size_t attributes_typed_max = 50;  // of a thing that has a type
  std::size_t attributes_untyped_max = 3;
  std::size_t searchable_attributes_max = 3;
  std::size_t thing_types_max = 100'000;  // AWS: none
  std::size_t policies_max = 100'000;     // AWS: none
  std::size_t policies_per_target_max = 10;
  std::size_t policy_versions_max = 5;
  policy::Limits policy_document = {};
  std::size_t ca_certificates_max = 10'000;  // AWS: none
  std::size_t cas_per_subject_max = 10;
  std::size_t authorizers_max = 10'000;            // AWS: 100
  std::size_t domain_configurations_max = 10'000;  // AWS: 10
  std::size_t role_aliases_max = 10'000;           // AWS: 100
  std::size_t templates_max = 10'000;              // AWS: 256
  std::size_t template_versions_max = 5;
  std::size_t groups_max = 1'000'000;  // dynamic ones among them; AWS: none
  std::size_t dynamic_groups_max = 100;
  std::size_t groups_per_thing_max = 10;
  std::size_t group_depth_max = 7;
  std::size_t children_per_group_max = 100;
  std::size_t attributes_per_group_max = 50;
  std::size_t billing_groups_max = 20'000;
  // How long a type has been deprecated before it may be deleted.
  std::chrono::milliseconds type_deletion_wait = std::chrono::minutes(5);
};

}  // namespace iotcore::registry
