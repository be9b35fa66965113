#include "registry/effective_policies.h"

#include "proto/record/registry.pb.h"
#include "registry/keys.h"
#include "registry/policies.h"
#include "registry/principal_rows.h"

#include <algorithm>
#include <set>
#include <utility>

namespace iotcore::registry {
namespace {

std::string_view action_of(std::string_view type) {
  return type == "CONNECT"     ? "iot:Connect"
         : type == "PUBLISH"   ? "iot:Publish"
         : type == "SUBSCRIBE" ? "iot:Subscribe"
                               : "iot:Receive";
}

// The heavier of two verdicts on resources of one question.
policy::Verdict worse(policy::Verdict a, policy::Verdict b) {
  const auto weight = [](policy::Verdict verdict) {
    return verdict == policy::Verdict::kAllowed        ? 0
           : verdict == policy::Verdict::kImplicitDeny ? 1
                                                       : 2;
  };
  return weight(a) < weight(b) ? b : a;
}

void add_policies(
    api::PolicyList& out, const std::set<std::string>& names, const Account& account
) {
  for (const std::string& name : names) {
    api::PolicySummary& summary = *out.add_policies();
    summary.set_policy_name(name);
    summary.set_policy_arn(account.arn("policy", name));
  }
}

// What several explanations, one for each resource, say together.
struct Answer {
  policy::Verdict verdict = policy::Verdict::kAllowed;
  std::set<std::string> allowing;
  std::set<std::string> denying;
  std::set<std::string> silent;
  std::set<std::string> missing;

  void add(const policy::Explanation& explanation) {
    verdict = worse(verdict, explanation.decision.verdict);
    allowing.insert(explanation.allowing.begin(), explanation.allowing.end());
    denying.insert(explanation.denying.begin(), explanation.denying.end());
    silent.insert(explanation.silent.begin(), explanation.silent.end());
    missing.insert(explanation.missing_values.begin(), explanation.missing_values.end());
  }
};

}  // namespace

// Whom a question is about.
struct EffectivePolicies::Subject {
  std::vector<std::string> targets;  // whose policies count
  policy::Context context;
};

Result<api::GetEffectivePoliciesResponse> EffectivePolicies::list(
    const api::GetEffectivePoliciesRequest& request
) {
  if (!request.has_principal() && !request.has_thing_name() &&
      !request.has_cognito_identity_pool_id()) {
    return fail(Errc::kInvalidRequest, "Say whose policies: principal or thingName");
  }
  std::vector<std::string> targets;
  if (request.has_principal()) {
    IOTCORE_ASSIGN(
        const Principal principal, parse_principal(options_.account, request.principal())
    );
    IOTCORE_TRY(check_principal_exists(store_, principal));
    targets.push_back(principal.resource);
  }
  if (request.has_thing_name()) {
    IOTCORE_TRY(get_record<record::Thing>(
        store_,
        keys::kRegistry,
        keys::thing(request.thing_name()),
        "Thing " + request.thing_name() + " does not exist"
    ));
    IOTCORE_TRY(grants_.add_groups_of(request.thing_name(), targets));
  }
  IOTCORE_ASSIGN(const std::vector<std::string> names, grants_.policy_names(targets));
  api::GetEffectivePoliciesResponse response;
  for (const std::string& name : names) {
    IOTCORE_ASSIGN(
        const auto found, find_record<record::Policy>(store_, keys::kPrincipals, keys::policy(name))
    );
    const auto* version = found ? find_default_version(found->record) : nullptr;
    if (version == nullptr) {
      continue;  // deleted since the attachments were read
    }
    api::EffectivePolicy& out = *response.add_effective_policies();
    out.set_policy_name(name);
    out.set_policy_arn(options_.account.arn("policy", name));
    out.set_policy_document(version->document());
  }
  return response;
}

Result<EffectivePolicies::Subject> EffectivePolicies::subject_of(
    const api::TestAuthorizationRequest& request
) {
  if (!request.has_principal()) {
    return fail(
        Errc::kInvalidRequest,
        "Say whose policies are tested: principal, the ARN of a certificate or a Cognito identity "
        "id"
    );
  }
  IOTCORE_ASSIGN(const Principal principal, parse_principal(options_.account, request.principal()));
  IOTCORE_TRY(check_principal_exists(store_, principal));
  Subject subject;
  subject.targets.push_back(principal.resource);
  DeviceFacts facts;
  facts.client_id = request.client_id();
  std::optional<Stored<record::Certificate>> certificate;
  std::optional<policy::ThingFacts> thing;
  if (principal.kind == Principal::Kind::kCertificate) {
    facts.certificate_id = principal.name();
    IOTCORE_ASSIGN(
        certificate,
        find_record<record::Certificate>(
            store_, keys::kPrincipals, keys::certificate(facts.certificate_id)
        )
    );
  }
  if (principal.is_device()) {
    IOTCORE_ASSIGN(thing, grants_.associated_thing(principal.resource, facts.client_id));
  }
  if (thing) {
    IOTCORE_TRY(grants_.add_groups_of(thing->name, subject.targets));
  }
  subject.context =
      context_of(facts, certificate ? &certificate->record : nullptr, std::move(thing), clock_);
  return subject;
}

Status EffectivePolicies::check_policies_exist(
    const google::protobuf::RepeatedPtrField<std::string>& names
) {
  for (const std::string& name : names) {
    IOTCORE_TRY(get_record<record::Policy>(
        store_, keys::kPrincipals, keys::policy(name), "Policy " + name + " does not exist"
    ));
  }
  return {};
}

Result<std::vector<std::string>> EffectivePolicies::names_of(
    const Subject& subject, const api::TestAuthorizationRequest& request
) {
  IOTCORE_TRY(check_policies_exist(request.policy_names_to_add()));
  IOTCORE_TRY(check_policies_exist(request.policy_names_to_skip()));
  IOTCORE_ASSIGN(std::vector<std::string> names, grants_.policy_names(subject.targets));
  for (const std::string& added : request.policy_names_to_add()) {
    if (std::find(names.begin(), names.end(), added) == names.end()) {
      names.push_back(added);
    }
  }
  const auto& skipped = request.policy_names_to_skip();
  std::erase_if(names, [&skipped](const std::string& name) {
    return std::find(skipped.begin(), skipped.end(), name) != skipped.end();
  });
  return names;
}

Result<api::TestAuthorizationResponse> EffectivePolicies::test(
    const api::TestAuthorizationRequest& request
) {
  if (request.auth_infos().empty()) {
    return fail(Errc::kInvalidRequest, "authInfos asks for nothing");
  }
  IOTCORE_ASSIGN(const Subject subject, subject_of(request));
  IOTCORE_ASSIGN(const std::vector<std::string> names, names_of(subject, request));
  IOTCORE_ASSIGN(const GrantReader::Compiled policies, grants_.compiled(names));
  api::TestAuthorizationResponse response;
  for (const api::AuthInfo& info : request.auth_infos()) {
    if (!info.has_action_type() || info.resources().empty()) {
      return fail(
          Errc::kInvalidRequest, "Each of authInfos needs an actionType and at least one resource"
      );
    }
    Answer answer;
    for (const std::string& resource : info.resources()) {
      const std::string_view view = resource;
      answer.add(policies->explain(subject.context, action_of(info.action_type()), {&view, 1}));
    }
    api::AuthResult& out = *response.add_auth_results();
    *out.mutable_auth_info() = info;
    add_policies(*out.mutable_allowed(), answer.allowing, options_.account);
    add_policies(*out.mutable_denied()->mutable_implicit_deny(), answer.silent, options_.account);
    add_policies(*out.mutable_denied()->mutable_explicit_deny(), answer.denying, options_.account);
    out.set_auth_decision(std::string(policy::to_string(answer.verdict)));
    for (const std::string& name : answer.missing) {
      out.add_missing_context_values(name);
    }
  }
  return response;
}

}  // namespace iotcore::registry
