#include "registry/policies.h"

#include "base/crypto.h"
#include "registry/age_lists.h"
#include "registry/keys.h"
#include "registry/named_resource.h"
#include "registry/page.h"
#include "registry/tags.h"

#include <algorithm>
#include <charconv>

namespace iotcore::registry {
namespace {

std::string absent(std::string_view policy) {
  return "Policy " + std::string(policy) + " does not exist";
}

tl::unexpected<Error> no_version(std::string_view policy, std::string_view version) {
  return fail(
      Errc::kNotFound, "Policy " + std::string(policy) + " has no version " + std::string(version)
  );
}

void add_version(record::Policy& policy, const std::string& document, std::int64_t now_ms) {
  policy.set_last_version_id(policy.last_version_id() + 1);
  record::Policy::Version& version = *policy.add_versions();
  version.set_id(policy.last_version_id());
  version.set_document(document);
  version.set_created_ms(now_ms);
}

}  // namespace

const record::Policy::Version* find_version(const record::Policy& policy, std::string_view id) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), number);
  if (error != std::errc() || end != id.data() + id.size()) {
    return nullptr;
  }
  for (const record::Policy::Version& version : policy.versions()) {
    if (version.id() == number) {
      return &version;
    }
  }
  return nullptr;
}

const record::Policy::Version* find_default_version(const record::Policy& policy) {
  return find_version(policy, std::to_string(policy.default_version_id()));
}

Result<Stored<record::Policy>> Policies::read(const std::string& name) {
  return get_record<record::Policy>(store_, keys::kPrincipals, keys::policy(name), absent(name));
}

template <typename Change>
Status Policies::change(const std::string& name, Change&& change) {
  return until_no_conflict([&]() -> Status {
    IOTCORE_ASSIGN(Stored<record::Policy> found, read(name));
    IOTCORE_TRY(change(found.record));
    store::Batch batch;
    batch.expect_revision(keys::kPrincipals, keys::policy(name), found.revision);
    batch.put(keys::kPrincipals, keys::policy(name), to_row(found.record));
    return commit(store_, std::move(batch));
  });
}

Result<api::CreatePolicyResponse> Policies::create(const api::CreatePolicyRequest& request) {
  const std::string& name = request.policy_name();
  IOTCORE_TRY(policy::parse_document(request.policy_document(), options_.limits.policy_document));
  const std::int64_t now_ms = to_epoch_ms(clock_.wall());
  record::Policy policy;
  add_version(policy, request.policy_document(), now_ms);
  policy.set_default_version_id(policy.last_version_id());
  policy.set_created_ms(now_ms);
  policy.set_modified_ms(now_ms);
  policy.set_generation_id(new_uuid());
  const std::string arn = options_.account.arn("policy", name);
  store::Batch batch;
  batch.expect_absent(keys::kPrincipals, keys::policy(name));
  batch.put(keys::kPrincipals, keys::policy(name), to_row(policy));
  put_in_age_lists(batch, keys::policies_by_age, now_ms, name);
  IOTCORE_TRY(Tags::put(batch, "policy/" + name, request.tags()));
  const auto create = [&] {
    return commit_new(
        store_,
        std::move(batch),
        Error(
            Errc::kAlreadyExists,
            "Policy cannot be created - name already exists (name=" + name + ")"
        )
            .with("resourceId", name)
            .with("resourceArn", arn)
    );
  };
  IOTCORE_TRY(quota_.add(create));
  api::CreatePolicyResponse response;
  response.set_policy_name(name);
  response.set_policy_arn(arn);
  response.set_policy_document(request.policy_document());
  response.set_policy_version_id(std::to_string(policy.default_version_id()));
  return response;
}

Result<api::GetPolicyResponse> Policies::get(const api::GetPolicyRequest& request) {
  const std::string& name = request.policy_name();
  IOTCORE_ASSIGN(const auto found, read(name));
  const record::Policy& policy = found.record;
  const record::Policy::Version* version = find_default_version(policy);
  if (version == nullptr) {
    return fail(Errc::kStoreCorrupt, "Policy " + name + " has no default version");
  }
  api::GetPolicyResponse response;
  response.set_policy_name(name);
  response.set_policy_arn(options_.account.arn("policy", name));
  response.set_policy_document(version->document());
  response.set_default_version_id(std::to_string(version->id()));
  response.set_creation_date(policy.created_ms());
  response.set_last_modified_date(policy.modified_ms());
  response.set_generation_id(policy.generation_id());
  return response;
}

Result<api::DeletePolicyResponse> Policies::remove(const api::DeletePolicyRequest& request) {
  IOTCORE_TRY(until_no_conflict([&] { return try_remove(request.policy_name()); }));
  return api::DeletePolicyResponse();
}

Status Policies::try_remove(const std::string& name) {
  const auto guard_key = keys::policy_guard(name);
  // The guard first: an attachment made after this is a conflict, one made before it is found
  // below.
  IOTCORE_ASSIGN(const auto guard, store_.get(keys::kPrincipals, guard_key));
  IOTCORE_ASSIGN(const auto found, read(name));
  IOTCORE_ASSIGN(
      const bool attached, has_any(store_, keys::kPrincipals, keys::targets_of_policy(name))
  );
  if (attached) {
    return fail(
        Errc::kDeleteConflict,
        "The policy cannot be deleted as the policy is attached to one or more principals (name=" +
            name + ")"
    );
  }
  if (found.record.versions_size() > 1) {
    return fail(
        Errc::kDeleteConflict,
        "Cannot delete the policy because it has one or more policy versions attached to it "
        "(name=" +
            name + ")"
    );
  }
  store::Batch batch;
  batch.expect_revision(keys::kPrincipals, keys::policy(name), found.revision);
  if (guard) {
    batch.expect_revision(keys::kPrincipals, guard_key, guard->revision);
    batch.erase(keys::kPrincipals, guard_key);
  } else {
    batch.expect_absent(keys::kPrincipals, guard_key);
  }
  batch.erase(keys::kPrincipals, keys::policy(name));
  IOTCORE_TRY(Tags::erase(store_, batch, "policy/" + name));
  erase_from_age_lists(batch, keys::policies_by_age, found.record.created_ms(), name);
  return quota_.remove([&] { return commit(store_, std::move(batch)); });
}

Result<api::ListPoliciesResponse> Policies::list(const api::ListPoliciesRequest& request) {
  IOTCORE_ASSIGN(
      PageRequest page,
      PageRequest::make(
          keys::kPrincipals,
          keys::policies_by_age(request.ascending_order()),
          optional_text(request.has_marker(), request.marker()),
          optional_size(request.has_page_size(), request.page_size())
      )
  );
  PageReader reader(store_, std::move(page));
  IOTCORE_ASSIGN(const std::vector<store::Entry> rows, reader.page());
  api::ListPoliciesResponse response;
  for (const store::Entry& row : rows) {
    const std::string name = id_in_age_row(row.key);
    auto& out = *response.add_policies();
    out.set_policy_name(name);
    out.set_policy_arn(options_.account.arn("policy", name));
  }
  if (reader.token()) {
    response.set_next_marker(*reader.token());
  }
  return response;
}

Result<api::CreatePolicyVersionResponse> Policies::create_version(
    const api::CreatePolicyVersionRequest& request
) {
  const std::string& name = request.policy_name();
  IOTCORE_TRY(policy::parse_document(request.policy_document(), options_.limits.policy_document));
  const std::int64_t now_ms = to_epoch_ms(clock_.wall());
  std::int64_t id = 0;
  IOTCORE_TRY(change(name, [&](record::Policy& policy) -> Status {
    const std::size_t max = options_.limits.policy_versions_max;
    if (static_cast<std::size_t>(policy.versions_size()) >= max) {
      return fail(
          Errc::kVersionsLimitExceeded,
          "The policy " + name + " already has the maximum number of versions (" +
              std::to_string(max) + ")"
      );
    }
    add_version(policy, request.policy_document(), now_ms);
    id = policy.last_version_id();
    if (request.set_as_default()) {
      policy.set_default_version_id(id);
      policy.set_modified_ms(now_ms);
    }
    return {};
  }));
  api::CreatePolicyVersionResponse response;
  response.set_policy_arn(options_.account.arn("policy", name));
  response.set_policy_document(request.policy_document());
  response.set_policy_version_id(std::to_string(id));
  response.set_is_default_version(request.set_as_default());
  return response;
}

Result<api::GetPolicyVersionResponse> Policies::get_version(
    const api::GetPolicyVersionRequest& request
) {
  const std::string& name = request.policy_name();
  IOTCORE_ASSIGN(const auto found, read(name));
  const auto* version = find_version(found.record, request.policy_version_id());
  if (version == nullptr) {
    return no_version(name, request.policy_version_id());
  }
  api::GetPolicyVersionResponse response;
  response.set_policy_arn(options_.account.arn("policy", name));
  response.set_policy_name(name);
  response.set_policy_document(version->document());
  response.set_policy_version_id(std::to_string(version->id()));
  response.set_is_default_version(version->id() == found.record.default_version_id());
  response.set_creation_date(version->created_ms());
  response.set_last_modified_date(version->created_ms());
  response.set_generation_id(found.record.generation_id());
  return response;
}

Result<api::DeletePolicyVersionResponse> Policies::remove_version(
    const api::DeletePolicyVersionRequest& request
) {
  const std::string& name = request.policy_name();
  IOTCORE_TRY(change(name, [&](record::Policy& policy) -> Status {
    const auto* version = find_version(policy, request.policy_version_id());
    if (version == nullptr) {
      return no_version(name, request.policy_version_id());
    }
    if (version->id() == policy.default_version_id()) {
      return fail(Errc::kDeleteConflict, "Cannot delete the default version of a policy");
    }
    auto& versions = *policy.mutable_versions();
    versions.erase(std::find_if(versions.begin(), versions.end(), [version](const auto& one) {
      return &one == version;
    }));
    return {};
  }));
  return api::DeletePolicyVersionResponse();
}

Result<api::SetDefaultPolicyVersionResponse> Policies::set_default_version(
    const api::SetDefaultPolicyVersionRequest& request
) {
  const std::string& name = request.policy_name();
  IOTCORE_TRY(change(name, [&](record::Policy& policy) -> Status {
    const auto* version = find_version(policy, request.policy_version_id());
    if (version == nullptr) {
      return no_version(name, request.policy_version_id());
    }
    policy.set_default_version_id(version->id());
    policy.set_modified_ms(to_epoch_ms(clock_.wall()));
    return {};
  }));
  return api::SetDefaultPolicyVersionResponse();
}

Result<api::ListPolicyVersionsResponse> Policies::list_versions(
    const api::ListPolicyVersionsRequest& request
) {
  IOTCORE_ASSIGN(const auto found, read(request.policy_name()));
  api::ListPolicyVersionsResponse response;
  for (int i = found.record.versions_size() - 1; i >= 0; --i) {
    const record::Policy::Version& version = found.record.versions(i);
    auto& out = *response.add_policy_versions();
    out.set_version_id(std::to_string(version.id()));
    out.set_is_default_version(version.id() == found.record.default_version_id());
    out.set_create_date(version.created_ms());
  }
  return response;
}

}  // namespace iotcore::registry
