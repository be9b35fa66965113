#include "registry/policy_attachments.h"

#include "registry/keys.h"
#include "registry/page.h"
#include "registry/principal_rows.h"

#include <algorithm>

namespace iotcore::registry {
namespace {

std::string absent(std::string_view policy) {
  return "Policy " + std::string(policy) + " does not exist";
}

}  // namespace

Result<api::AttachPolicyResponse> PolicyAttachments::attach(const api::AttachPolicyRequest& request
) {
  IOTCORE_TRY(until_no_conflict([&] { return try_attach(request); }));
  return api::AttachPolicyResponse();
}

Status PolicyAttachments::try_attach(const api::AttachPolicyRequest& request) {
  const std::string& policy = request.policy_name();
  IOTCORE_ASSIGN(const Principal target, parse_principal(options_.account, request.target()));
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
  IOTCORE_TRY(until_no_conflict([&] { return try_detach(request); }));
  return api::DetachPolicyResponse();
}

Status PolicyAttachments::try_detach(const api::DetachPolicyRequest& request) {
  const std::string& policy = request.policy_name();
  IOTCORE_ASSIGN(const Principal target, parse_principal(options_.account, request.target()));
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

}  // namespace iotcore::registry
