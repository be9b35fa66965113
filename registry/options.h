#pragma once

#include "net/http_caller.h"
#include "registry/arn.h"
#include "registry/pki/certificate_authority.h"
#include "registry/policy/document.h"

#include <chrono>
#include <cstddef>
#include <string>

namespace iotcore::registry {

// AWS's quotas are the defaults where its users rely on them.
struct Limits {
  std::size_t attributes_typed_max = 50;  // of a thing that has a type
  std::size_t attributes_untyped_max = 3;
  std::size_t searchable_attributes_max = 3;
  std::size_t policies_per_target_max = 10;
  std::size_t policy_versions_max = 5;
  std::size_t cas_per_subject_max = 10;
  std::size_t authorizers_max = 100;
  policy::Limits policy_document = {};
  std::size_t groups_per_thing_max = 10;
  std::size_t group_depth_max = 7;
  std::size_t children_per_group_max = 100;
  std::size_t attributes_per_group_max = 50;
  std::size_t dynamic_groups_max = 100;
  // How long a type has been deprecated before it may be deleted.
  std::chrono::milliseconds type_deletion_wait = std::chrono::minutes(5);
};

struct Options {
  Account account;
  Limits limits;
  net::HttpRules http;  // where functions may be that the API names by URL: http.allow
  pki::KeyType key_type = pki::KeyType::kRsa2048;  // registry.key_type
};

}  // namespace iotcore::registry
