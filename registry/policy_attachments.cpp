#include "registry/policy_attachments.h"

#include "base/crypto.h"
#include "registry/group_rows.h"
#include "registry/keys.h"
#include "registry/list_token.h"
#include "registry/marker_page.h"
#include "registry/principal_rows.h"

#include <algorithm>
#include <optional>
#include <set>
#include <vector>

namespace iotcore::registry {
namespace {

std::string absent(std::string_view policy) {
  return "Policy " + std::string(policy) + " does not exist";
}

constexpr std::size_t kPageDefault = 250;

// Lists by age are sorted when they are asked for, as far as they are that long; longer ones come in the order of their names.
constexpr std::size_t kSortedMax = 10'000;

struct AgePage {
  std::vector<std::string> names;  // the last segments of the keys
  std::optional<std::string> marker;
};

template <typename Request>
Result<AgePage> page_by_age(
    store::Store& store, const std::string& prefix, const Request& request
) {
  IOTCORE_ASSIGN(
      PageRequest page,
      PageRequest::make(
          keys::kPrincipals,
          prefix,
          optional_text(request.has_marker(), request.marker()),
          optional_size(request.has_page_size(), request.page_size())
      )
  );
  const std::size_t size = page.size();
  IOTCORE_ASSIGN(
      std::vector<store::Entry> rows, store.scan(keys::kPrincipals, prefix, {}, kSortedMax + 1)
  );
  AgePage out;
  if (rows.size() > kSortedMax) {
    PageReader reader(store, std::move(page));
    IOTCORE_ASSIGN(rows, reader.page());
    for (const store::Entry& row : rows) {
      out.names.push_back(segment_of(row.key, 1));
    }
    out.marker = reader.token();
    return out;
  }
  // The place of a row is the time in it and then its key; a marker is the place of the last one, so that it holds when that row has gone.
  std::vector<std::string> places;
  for (const store::Entry& row : rows) {
    IOTCORE_ASSIGN(const auto attachment, parse_record<record::PolicyAttachment>(row.value));
    places.push_back(
        prefix + store::Key(0)
                     .u64(static_cast<std::uint64_t>(attachment.attached_ms()))
                     .rest(segment_of(row.key, 1))
                     .take()
                     .substr(1)
    );
  }
  std::sort(places.begin(), places.end());
  if (!request.ascending_order()) {
    std::reverse(places.begin(), places.end());
  }
  auto next = places.begin();
  if (request.has_marker()) {
    const std::string last = from_base64(request.marker()).value_or(std::string());
    next = std::find_if(places.begin(), places.end(), [&](const std::string& place) {
      return request.ascending_order() ? place > last : place < last;
    });
  }
  const std::size_t name_at = prefix.size() + sizeof(std::uint64_t);
  for (; next != places.end() && out.names.size() < size; ++next) {
    out.names.push_back(next->substr(name_at));
  }
  if (next != places.end()) {
    out.marker = to_base64(*std::prev(next));
  }
  return out;
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

Result<bool> PolicyAttachments::is_attached(std::string_view policy, std::string_view target) {
  IOTCORE_ASSIGN(const Principal parsed, parse_principal(options_.account, target));
  IOTCORE_ASSIGN(
      const auto row,
      store_.get(keys::kPrincipals, keys::policies_of_target(parsed.resource).text(policy))
  );
  return row.has_value();
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
  api::ListAttachedPoliciesResponse response;
  IOTCORE_TRY(read_marker_page(
      store_,
      keys::kPrincipals,
      keys::policies_of_target(target.resource),
      request,
      response,
      kPageDefault,
      [&](const std::vector<store::Entry>& rows) -> Status {
        for (const store::Entry& row : rows) {
          add_policy(*response.add_policies(), segment_of(row.key, 1));
        }
        return {};
      }
  ));
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
  std::string after;
  if (request.has_marker()) {
    IOTCORE_ASSIGN(after, name_in_token("policy", request.marker()));
  }
  const int size = request.has_page_size() ? request.page_size() : 250;
  api::ListAttachedPoliciesResponse response;
  for (auto name = names.upper_bound(after); name != names.end(); ++name) {
    if (response.policies_size() == size) {
      response.set_next_marker(list_token("policy", response.policies(size - 1).policy_name()));
      break;
    }
    add_policy(*response.add_policies(), *name);
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
  api::ListTargetsForPolicyResponse response;
  IOTCORE_TRY(read_marker_page(
      store_,
      keys::kPrincipals,
      keys::targets_of_policy(policy),
      request,
      response,
      kPageDefault,
      [&](const std::vector<store::Entry>& rows) -> Status {
        for (const store::Entry& row : rows) {
          response.add_targets(principal_text(options_.account, segment_of(row.key, 1)));
        }
        return {};
      }
  ));
  return response;
}

void PolicyAttachments::add_policy(api::PolicySummary& out, const std::string& name) const {
  out.set_policy_name(name);
  out.set_policy_arn(options_.account.arn("policy", name));
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
  IOTCORE_ASSIGN(const Principal principal, parse_device(request.principal()));
  IOTCORE_TRY(check_principal_exists(store_, principal));
  const std::string prefix = keys::policies_of_target(principal.resource).take();
  IOTCORE_ASSIGN(const AgePage page, page_by_age(store_, prefix, request));
  api::ListPrincipalPoliciesResponse response;
  for (const std::string& name : page.names) {
    add_policy(*response.add_policies(), name);
  }
  if (page.marker) {
    response.set_next_marker(*page.marker);
  }
  return response;
}

Result<api::ListPolicyPrincipalsResponse> PolicyAttachments::list_principals(
    const api::ListPolicyPrincipalsRequest& request
) {
  const std::string& policy = request.policy_name();
  IOTCORE_TRY(
      get_record<record::Policy>(store_, keys::kPrincipals, keys::policy(policy), absent(policy))
  );
  const std::string prefix = keys::targets_of_policy(policy).take();
  IOTCORE_ASSIGN(const AgePage page, page_by_age(store_, prefix, request));
  api::ListPolicyPrincipalsResponse response;
  for (const std::string& target : page.names) {
    response.add_principals(principal_text(options_.account, target));
  }
  if (page.marker) {
    response.set_next_marker(*page.marker);
  }
  return response;
}

}  // namespace iotcore::registry
