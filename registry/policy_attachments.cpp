#include "registry/policy_attachments.h"

#include "base/crypto.h"
#include "registry/group_rows.h"
#include "registry/keys.h"
#include "registry/page.h"
#include "registry/principal_rows.h"

#include <algorithm>
#include <optional>
#include <set>

namespace iotcore::registry {
namespace {

std::string absent(std::string_view policy) {
  return "Policy " + std::string(policy) + " does not exist";
}

}  // namespace

Result<api::AttachPolicyResponse> PolicyAttachments::attach(const api::AttachPolicyRequest& request
) {
  IOTCORE_ASSIGN(const Principal target, parse_principal(options_.account, request.target()));
  IOTCORE_TRY(until_no_conflict([&] { return try_attach(request.policy_name(), target); }));
  return api::AttachPolicyResponse();
}

Status PolicyAttachments::try_attach(const std::string& policy, const Principal& target) {
  // The policy's row is expected but not written: attaching one policy to a million targets must
  // not conflict with itself.
  IOTCORE_ASSIGN(
      const auto found,
      get_record<record::Policy>(store_, keys::kPrincipals, keys::policy(policy), absent(policy))
  );
  store::Batch batch;
  batch.expect_revision(keys::kPrincipals, keys::policy(policy), found.revision);
  batch.put(keys::kPrincipals, keys::policy_guard(policy), {});
  IOTCORE_TRY(touch_principal(store_, batch, target));

  const std::size_t max = options_.limits.policies_per_target_max;
  const std::string key = keys::policies_of_target(target.resource).text(policy).take();
  IOTCORE_ASSIGN(
      const std::vector<store::Entry> attached,
      store_.scan(keys::kPrincipals, keys::policies_of_target(target.resource), {}, max + 1)
  );
  if (std::any_of(attached.begin(), attached.end(), [&key](const store::Entry& e) {
        return e.key == key;
      })) {
    return {};
  }
  if (attached.size() >= max) {
    return fail(
        Errc::kLimitExceeded,
        "At most " + std::to_string(max) + " policies can be attached to one target"
    );
  }
  record::PolicyAttachment attachment;
  attachment.set_attached_ms(to_epoch_ms(clock_.wall()));
  const std::string row = to_row(attachment);
  batch.put(keys::kPrincipals, key, row);
  batch.put(keys::kPrincipals, keys::targets_of_policy(policy).text(target.resource), row);
  return commit(store_, std::move(batch));
}

Result<api::DetachPolicyResponse> PolicyAttachments::detach(const api::DetachPolicyRequest& request
) {
  IOTCORE_ASSIGN(const Principal target, parse_principal(options_.account, request.target()));
  IOTCORE_TRY(until_no_conflict([&] { return try_detach(request.policy_name(), target); }));
  return api::DetachPolicyResponse();
}

Status PolicyAttachments::try_detach(const std::string& policy, const Principal& target) {
  const std::string key = keys::policies_of_target(target.resource).text(policy).take();
  IOTCORE_ASSIGN(const auto attached, store_.get(keys::kPrincipals, key));
  if (!attached) {
    return {};
  }
  store::Batch batch;
  IOTCORE_TRY(touch_principal(store_, batch, target));
  batch.erase(keys::kPrincipals, key);
  batch.erase(keys::kPrincipals, keys::targets_of_policy(policy).text(target.resource));
  return commit(store_, std::move(batch));
}

Result<api::ListAttachedPoliciesResponse> PolicyAttachments::list_policies(
    const api::ListAttachedPoliciesRequest& request
) {
  IOTCORE_ASSIGN(const Principal target, parse_principal(options_.account, request.target()));
  IOTCORE_TRY(check_principal_exists(store_, target));
  if (request.recursive() && target.kind == Principal::Kind::kThingGroup) {
    return list_inherited(target, request);
  }
  IOTCORE_ASSIGN(
      PageRequest page,
      PageRequest::make(
          keys::kPrincipals,
          keys::policies_of_target(target.resource),
          optional_text(request.has_marker(), request.marker()),
          optional_size(request.has_page_size(), request.page_size())
      )
  );
  PageReader reader(store_, std::move(page));
  IOTCORE_ASSIGN(const std::vector<store::Entry> rows, reader.page());
  api::ListAttachedPoliciesResponse response;
  for (const store::Entry& row : rows) {
    const std::string name = segment_of(row.key, 1);
    auto& out = *response.add_policies();
    out.set_policy_name(name);
    out.set_policy_arn(options_.account.arn("policy", name));
  }
  if (reader.token()) {
    response.set_next_marker(*reader.token());
  }
  return response;
}

// The group's own and those of the groups above it, by name: of a few groups, a few policies each.
Result<api::ListAttachedPoliciesResponse> PolicyAttachments::list_inherited(
    const Principal& group, const api::ListAttachedPoliciesRequest& request
) {
  IOTCORE_ASSIGN(const NamedGroup found, get_group(store_, group.name()));
  std::vector<std::string> targets = {group.resource};
  for (const std::string& ancestor : found.group.ancestors()) {
    targets.push_back(thing_group_resource(ancestor));
  }
  std::set<std::string> names;
  for (const std::string& target : targets) {
    IOTCORE_ASSIGN(
        const std::vector<store::Entry> rows,
        store_.scan(keys::kPrincipals, keys::policies_of_target(target), {}, 1000)
    );
    for (const store::Entry& row : rows) {
      names.insert(segment_of(row.key, 1));
    }
  }
  const std::optional<std::string> after =
      request.has_marker() ? from_base64(request.marker()) : std::string();
  if (!after) {
    return fail(Errc::kInvalidRequest, "Invalid pagination token");
  }
  const int size = request.has_page_size() ? request.page_size() : 250;
  api::ListAttachedPoliciesResponse response;
  for (auto name = names.upper_bound(*after); name != names.end(); ++name) {
    if (response.policies_size() == size) {
      response.set_next_marker(to_base64(response.policies(size - 1).policy_name()));
      break;
    }
    auto& out = *response.add_policies();
    out.set_policy_name(*name);
    out.set_policy_arn(options_.account.arn("policy", *name));
  }
  return response;
}

Result<api::ListTargetsForPolicyResponse> PolicyAttachments::list_targets(
    const api::ListTargetsForPolicyRequest& request
) {
  const std::string& policy = request.policy_name();
  IOTCORE_TRY(
      get_record<record::Policy>(store_, keys::kPrincipals, keys::policy(policy), absent(policy))
  );
  IOTCORE_ASSIGN(
      PageRequest page,
      PageRequest::make(
          keys::kPrincipals,
          keys::targets_of_policy(policy),
          optional_text(request.has_marker(), request.marker()),
          optional_size(request.has_page_size(), request.page_size())
      )
  );
  PageReader reader(store_, std::move(page));
  IOTCORE_ASSIGN(const std::vector<store::Entry> rows, reader.page());
  api::ListTargetsForPolicyResponse response;
  for (const store::Entry& row : rows) {
    response.add_targets(principal_text(options_.account, segment_of(row.key, 1)));
  }
  if (reader.token()) {
    response.set_next_marker(*reader.token());
  }
  return response;
}

Result<Principal> PolicyAttachments::parse_device(std::string_view principal) const {
  IOTCORE_ASSIGN(Principal parsed, parse_principal(options_.account, principal));
  if (!parsed.is_device()) {
    return fail(
        Errc::kInvalidRequest,
        "The principal must be the ARN of a certificate or a Cognito identity id"
    );
  }
  return parsed;
}

Result<api::AttachPrincipalPolicyResponse> PolicyAttachments::attach_principal(
    const api::AttachPrincipalPolicyRequest& request
) {
  IOTCORE_ASSIGN(const Principal principal, parse_device(request.principal()));
  IOTCORE_TRY(until_no_conflict([&] { return try_attach(request.policy_name(), principal); }));
  return api::AttachPrincipalPolicyResponse();
}

Result<api::DetachPrincipalPolicyResponse> PolicyAttachments::detach_principal(
    const api::DetachPrincipalPolicyRequest& request
) {
  const std::string& policy = request.policy_name();
  IOTCORE_ASSIGN(const Principal principal, parse_device(request.principal()));
  IOTCORE_TRY(check_principal_exists(store_, principal));
  IOTCORE_TRY(
      get_record<record::Policy>(store_, keys::kPrincipals, keys::policy(policy), absent(policy))
  );
  IOTCORE_TRY(until_no_conflict([&] { return try_detach(policy, principal); }));
  return api::DetachPrincipalPolicyResponse();
}

Result<api::ListPrincipalPoliciesResponse> PolicyAttachments::list_principal_policies(
    const api::ListPrincipalPoliciesRequest& request
) {
  IOTCORE_TRY(parse_device(request.principal()));
  api::ListAttachedPoliciesRequest same;
  same.set_target(request.principal());
  if (request.has_marker()) {
    same.set_marker(request.marker());
  }
  if (request.has_page_size()) {
    same.set_page_size(request.page_size());
  }
  IOTCORE_ASSIGN(api::ListAttachedPoliciesResponse listed, list_policies(same));
  api::ListPrincipalPoliciesResponse response;
  response.mutable_policies()->Swap(listed.mutable_policies());
  if (listed.has_next_marker()) {
    response.set_next_marker(listed.next_marker());
  }
  return response;
}

Result<api::ListPolicyPrincipalsResponse> PolicyAttachments::list_principals(
    const api::ListPolicyPrincipalsRequest& request
) {
  api::ListTargetsForPolicyRequest same;
  same.set_policy_name(request.policy_name());
  if (request.has_marker()) {
    same.set_marker(request.marker());
  }
  if (request.has_page_size()) {
    same.set_page_size(request.page_size());
  }
  IOTCORE_ASSIGN(api::ListTargetsForPolicyResponse listed, list_targets(same));
  api::ListPolicyPrincipalsResponse response;
  response.mutable_principals()->Swap(listed.mutable_targets());
  if (listed.has_next_marker()) {
    response.set_next_marker(listed.next_marker());
  }
  return response;
}

}  // namespace iotcore::registry
